"""Run:ai's inference API under `/api/v1`, so that its own client manages Hostler's jobs.

Pure translations (a request's body to the native request, a job to a workload) with thin routes around them. What is
supported, what is refused and what differs: docs/dialects/runai.md.
"""
