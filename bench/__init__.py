"""Speed figures, measured from outside on real processes."""
