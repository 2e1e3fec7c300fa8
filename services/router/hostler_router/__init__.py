"""The router: the OpenAI-compatible front of every job.

It holds the whole route table in memory, fed by the JOBS stream, and relays requests to ready replicas. What it decides
(who is asking, which job is meant, which replica takes it, where an event ends) are pure functions in modules of their own;
around them are thin shells for the two sides of HTTP and for the bus.
"""
