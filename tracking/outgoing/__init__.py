"""Mail that is written in the CRM: sent so that exactly one leaves, whatever dies, and tracked exactly once (design §4)."""
