package com.example.push;

import java.net.HttpURLConnection;
import java.net.URL;

public class Push {
  public static void main(String[] args) throws Exception {
    for (int attempt = 1; ; attempt++) {
      try {
        HttpURLConnection connection = (HttpURLConnection) new URL(args[0]).openConnection();
        System.out.println("status " + connection.getResponseCode());
        return;
      } catch (java.io.IOException e) {
        if (attempt == 3) throw new RuntimeException("could not push after " + attempt + " attempts", e);
        System.err.println("WARN attempt " + attempt + " failed");
        Thread.sleep(500);
      }
    }
  }
}
