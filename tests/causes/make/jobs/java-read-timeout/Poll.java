package com.example.poll;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URL;

public class Poll {
  public static void main(String[] args) throws Exception {
    System.out.println("INFO  connect timeout 2000 ms, read timeout 3000 ms");
    try (ServerSocket silent = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      poll("http://localhost:" + silent.getLocalPort() + "/sensors");
    } catch (IOException e) {
      throw new PollFailed(e);
    }
  }

  static void poll(String address) throws IOException {
    HttpURLConnection connection = (HttpURLConnection) new URL(address).openConnection();
    connection.setConnectTimeout(2000);
    connection.setReadTimeout(3000);
    System.out.println("INFO  answered " + connection.getResponseCode());
  }

  static class PollFailed extends RuntimeException {
    PollFailed(Throwable cause) {
      super("sensors could not be polled", cause);
    }
  }
}
