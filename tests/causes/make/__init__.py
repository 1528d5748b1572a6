"""Makes the real part of the corpus anew; see `__main__`."""
