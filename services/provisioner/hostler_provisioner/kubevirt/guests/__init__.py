"""What runs inside a replica's virtual machine, one module per runtime: pure functions from a job to a `Guest`."""
