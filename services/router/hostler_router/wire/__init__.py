"""HTTP on raw protocols: connections of clients and to replicas, both parsed by llhttp. Knows nothing of jobs or models."""
