"""What people do when something is not as it should be: ask why, compare, read again, try or give up an item."""
