"""The doors of other systems: each package here lets the clients of one of them manage jobs unchanged."""
