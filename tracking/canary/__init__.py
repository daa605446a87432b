"""The canary: a synthetic item of each kind put through the whole path, so that "green" means that things arrive."""
