package com.example.convert;

public class Convert {
  public static void main(String[] args) {
    System.out.println("converted");
  }
}
