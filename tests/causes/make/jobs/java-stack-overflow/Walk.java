package com.example.tree;

public class Walk {
  static final int[] PARENT = {0, 0, 1, 4, 3};

  public static void main(String[] args) {
    for (int node = 1; node < PARENT.length; node++)
      System.out.println("depth of " + node + ": " + depth(node));
  }

  static int depth(int node) {
    return node == 0 ? 0 : 1 + depth(PARENT[node]);
  }
}
