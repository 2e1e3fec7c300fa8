"""A service's chassis: settings, logs, clock, ids, secrets, health, metrics, the run itself.

Everything that five services would each write again. It knows nothing of jobs and nothing of NATS.
"""
