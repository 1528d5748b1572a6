package com.example.dedupe;

import java.util.ArrayList;
import java.util.List;

public class Dedupe {
  public static void main(String[] args) {
    List<long[]> seen = new ArrayList<>();
    System.out.println("heap: " + Runtime.getRuntime().maxMemory() / 1048576 + " MB, memory errors so far: 0");
    for (int block = 0; ; block++) {
      seen.add(new long[2 * 1024 * 1024]);
      if (block % 5 == 0) System.out.println("block " + block + " read");
    }
  }
}
