package com.example.pull;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Socket;

public class Pull {
  public static void main(String[] args) {
    System.out.println("pulling from " + args[0] + ":" + args[1]);
    try (Socket socket = new Socket(args[0], Integer.parseInt(args[1]))) {
      System.out.println("connected to " + socket.getRemoteSocketAddress());
    } catch (IOException e) {
      throw new UncheckedIOException("source is not reachable", e);
    }
  }
}
