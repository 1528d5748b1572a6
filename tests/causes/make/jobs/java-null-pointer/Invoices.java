package com.example.billing;

import java.util.LinkedHashMap;
import java.util.Map;

public class Invoices {
  static final Map<String, String> ADDRESSES = new LinkedHashMap<>();

  public static void main(String[] args) {
    ADDRESSES.put("c-1", "Main Street 1");
    ADDRESSES.put("c-2", null);
    System.out.println("Invoices of " + args[0]);
    try {
      Integer.parseInt("none");
    } catch (NumberFormatException e) {
      System.err.println("WARN: no limit set, all customers are taken");
      e.printStackTrace();
    }
    try {
      for (String customer : ADDRESSES.keySet()) write(customer);
    } catch (Exception e) {
      throw new IllegalStateException("invoices of " + args[0] + " not complete", e);
    }
  }

  static void write(String customer) throws Exception {
    try {
      System.out.println("invoice for " + customer + " to " + ADDRESSES.get(customer).toUpperCase());
    } catch (RuntimeException e) {
      throw new Exception("invoice of customer " + customer, e);
    }
  }
}
