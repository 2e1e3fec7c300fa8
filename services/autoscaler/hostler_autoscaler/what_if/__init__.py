"""What a job's recorded traffic would have led to under other settings: `hostler simulate`.

`answers` takes the question, reads what is recorded, and hands both to a process of its own, `worker`, which may take a while; the rest is
pure: `recorded` makes traffic of records, `fitting` an engine, `replay` runs the simulator twice.
"""
