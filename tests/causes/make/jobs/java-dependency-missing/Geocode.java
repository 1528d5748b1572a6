package com.example.geo;

public class Geocode {
  public static void main(String[] args) throws Exception {
    try {
      Class.forName("com.example.geo.FastProjection");
    } catch (ClassNotFoundException e) {
      System.out.println("INFO  fast projection not available (" + e + "), using the slow one");
    }
    System.out.println("INFO  geocoding 3 addresses");
    System.out.println(new Projection().project(52.5, 13.4));
  }
}
