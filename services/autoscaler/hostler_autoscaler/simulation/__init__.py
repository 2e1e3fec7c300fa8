"""A discrete-event simulator of one job: replicas with continuous batching, a router, cold starts, and a policy that is asked every tick.

`simulator.run` drives any object with `interval` and `decide(obs)` (interface.py) over a `Traffic`, and gives an `Outcome`. The bench
compares policies with it, and `hostler simulate` replays a job's own traffic. All of it is pure: time is simulated, and randomness is an
argument.
"""
