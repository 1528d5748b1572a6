package com.example.reconcile;

public class Reconcile {
  public static void main(String[] args) {
    System.out.println("INFO  reconcile: reading ledger and orders");
    System.out.println("ERROR reconcile: 1 row of orders has no currency, EUR is assumed");
    System.out.println("FATAL reconcile: sums differ, ledger 10412.50, orders 10411.00");
    System.out.println("INFO  reconcile: closing connections");
    System.exit(3);
  }
}
