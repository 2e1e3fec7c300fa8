"""The autoscaler: how many replicas each job shall have, from the load that the routers report.

`policy.decide` decides, as a pure function of the job's scaling, what was learnt before and the present load; `service` feeds
it every tick and appends `job.scaled`, with the reasons, where it changes something.
"""
