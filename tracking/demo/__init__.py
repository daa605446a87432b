"""The demo organisation that a first start makes."""
