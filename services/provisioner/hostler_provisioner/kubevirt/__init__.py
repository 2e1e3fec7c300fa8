"""Replicas as virtual machines of a KubeVirt cluster."""
