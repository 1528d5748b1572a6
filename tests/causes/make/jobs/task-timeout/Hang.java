package com.example.wait;

import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.MapReduceBase;
import org.apache.hadoop.mapred.Mapper;
import org.apache.hadoop.mapred.OutputCollector;
import org.apache.hadoop.mapred.Reporter;

public class Hang extends MapReduceBase implements Mapper<LongWritable, Text, LongWritable, Text> {
  @Override
  public void map(LongWritable at, Text line, OutputCollector<LongWritable, Text> out, Reporter reporter) {
    System.out.println("waiting for a lock");
    try {
      Thread.sleep(600_000);
    } catch (InterruptedException e) {
      System.out.println("interrupted");
    }
  }
}
