"""What administrators type."""
