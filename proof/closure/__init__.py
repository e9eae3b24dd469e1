"""Every state that the real functions can reach with one order, and what must be true in each."""
