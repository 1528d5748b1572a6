"""Read the text that `yarn logs` prints; every saved log has this form."""
