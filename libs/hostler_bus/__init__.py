"""The bus: where the five services meet.

`port` says what it can do, `nats_bus` does it on JetStream, `memory` does the same in this process; one conformance suite
holds both to it. On top: `leases`, `job_log` and `projection`. Nobody else in Hostler imports nats.
"""
