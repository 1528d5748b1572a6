package com.example.ledger;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

public class Load {
  public static void main(String[] args) throws Exception {
    Class.forName("com.microsoft.sqlserver.jdbc.SQLServerDriver");
    System.out.println("INFO  opening the ledger");
    try (Connection connection = open()) {
      System.out.println("INFO  opened " + connection.getCatalog());
    }
  }

  static Connection open() {
    try {
      return DriverManager.getConnection(
          "jdbc:sqlserver://localhost:14333;databaseName=ledger;loginTimeout=5;user=loader");
    } catch (SQLException e) {
      throw new IllegalStateException("ledger is not available, SQL state " + e.getSQLState(), e);
    }
  }
}
