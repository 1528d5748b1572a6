package com.example.readings;

import java.io.IOException;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.DoubleWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.MapReduceBase;
import org.apache.hadoop.mapred.Mapper;
import org.apache.hadoop.mapred.OutputCollector;
import org.apache.hadoop.mapred.Reporter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

public class Parse extends MapReduceBase implements Mapper<LongWritable, Text, LongWritable, Text> {
  private static final Logger LOG = LoggerFactory.getLogger(Parse.class);

  @Override
  public void map(LongWritable at, Text line, OutputCollector<LongWritable, Text> out, Reporter reporter)
      throws IOException {
    String[] fields = line.toString().split(";");
    if (fields.length < 3) {
      LOG.error("record without a value is skipped", new IOException("incomplete record at " + at));
      return;
    }
    double value = Double.valueOf(Integer.parseInt(fields[1])) + number(fields[2]);
    out.collect(at, new Text(String.valueOf(value)));
  }

  private static double number(String text) {
    return Double.parseDouble(text);
  }
}
