"""Mail looked at again: of a range of dates, or of a record that has got an address. Counted first, read when confirmed."""
