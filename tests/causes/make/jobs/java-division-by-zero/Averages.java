package com.example.stats;

import java.util.logging.Logger;

public class Averages {
  static final Logger LOG = Logger.getLogger("Averages");

  public static void main(String[] args) throws Exception {
    int[] shops = {12, 7, 0};
    LOG.warning("could not read cache: java.io.FileNotFoundException: cache.bin (No such file or directory)");
    LOG.info("regions: " + shops.length);
    for (int region = 0; region < shops.length; region++)
      LOG.info("region " + region + ": " + 84000 / shops[region] + " per shop");
  }
}
