"""What travels between services: the envelope, the events, the load windows, and the names they travel under.

Frozen pydantic models around the domain's own records. What is checked in under `schemas/` is the promise to everyone who
reads the stream; a test compares it with the code.
"""
