package com.example.geo;

class Projection {
  String project(double latitude, double longitude) {
    return latitude + "/" + longitude;
  }
}
