"""Speech to text behind OpenAI's HTTP interface: a small server with an engine that can be exchanged.

The `whisper` runtime of the local backend runs it as a replica's process, and a machine image may run it as well. It knows
nothing of the rest of Hostler.
"""
