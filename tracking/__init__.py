"""CRM records, activities, threads and rules; the engine that turns mail into tracked activities, and explains it."""
