package com.example.collect;

import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.MapReduceBase;
import org.apache.hadoop.mapred.Mapper;
import org.apache.hadoop.mapred.OutputCollector;
import org.apache.hadoop.mapred.Reporter;

public class Keep extends MapReduceBase implements Mapper<LongWritable, Text, LongWritable, Text> {
  private final List<byte[]> kept = new ArrayList<>();

  @Override
  public void map(LongWritable at, Text line, OutputCollector<LongWritable, Text> out, Reporter reporter) {
    kept.add(new byte[8 * 1024 * 1024]);
  }
}
