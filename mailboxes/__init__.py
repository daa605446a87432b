"""Mail servers, mailboxes, sync profiles, folders and cursors, schedule, runs, health. Hands out due mailboxes."""
