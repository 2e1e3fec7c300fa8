"""Values and rules of Hostler: jobs, replicas, scaling, catalogues, capacity.

Standard library only, and nothing here does I/O, reads a clock or draws a random number: callers pass `now` and ids in.
Every service decides with these functions and every event carries these records.
"""
