package com.example.books;

import java.time.LocalDate;
import java.time.format.DateTimeParseException;

public class CloseBooks {
  public static void main(String[] args) {
    System.out.println("CloseBooks 2.4, on error: stop");
    LocalDate day = date(args[1]);
    System.out.println("closing " + day);
  }

  static LocalDate date(String given) {
    try {
      return LocalDate.parse(given);
    } catch (DateTimeParseException e) {
      throw new IllegalArgumentException("--date has to be yyyy-MM-dd, not " + given);
    }
  }
}
