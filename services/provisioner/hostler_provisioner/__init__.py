"""The provisioner: makes what the scheduler placed real, and tells the log what became of it."""
