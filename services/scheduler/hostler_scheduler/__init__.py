"""The scheduler: puts each job's replicas on nodes, replaces those that failed, takes away those that are too many.

`place.plan` decides, as a pure function of a `ClusterView`; `service` loads the view, plans, and appends what was decided to
the jobs' log. It writes `replica.scheduled`, `replica.draining`, `job.pending` and `job.failed`, and nothing else.
"""
