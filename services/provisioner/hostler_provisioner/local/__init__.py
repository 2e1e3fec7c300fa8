"""The `local` backend: replicas as processes of this machine, for laptops, tests and CPU nodes."""
