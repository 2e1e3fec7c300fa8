"""The `external` backend: servers that run already. See `backend.py`."""
