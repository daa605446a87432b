"""What the owner of a mailbox chooses: personal options and tracked folders (S27)."""
