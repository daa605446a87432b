"""What was decided on the mail of a mailbox, with the sentence for each reason."""
