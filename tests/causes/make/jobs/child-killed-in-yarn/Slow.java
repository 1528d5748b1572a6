package com.example.wait;

import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.MapReduceBase;
import org.apache.hadoop.mapred.Mapper;
import org.apache.hadoop.mapred.OutputCollector;
import org.apache.hadoop.mapred.Reporter;

public class Slow extends MapReduceBase implements Mapper<LongWritable, Text, LongWritable, Text> {
  @Override
  public void map(LongWritable at, Text line, OutputCollector<LongWritable, Text> out, Reporter reporter) {
    try {
      Thread.sleep(5000);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
