"""The history of what jobs and replicas did: recorded from load windows into Valkey, and read back as series."""
