"""What people settle because planning does not guess: whose an address is, and how threads belong together."""
