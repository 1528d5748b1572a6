"""Show systems that others run to Prometheus."""
