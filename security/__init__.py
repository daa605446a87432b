"""Who may do and see what: users, rights, secrets, egress. The lowest layer: knows no mailbox and no thread."""
