"""States, transitions and ids; standard library only."""
