"""The text that `yarn logs` prints, which is what a saved log holds: its grammar, and a scanner."""
