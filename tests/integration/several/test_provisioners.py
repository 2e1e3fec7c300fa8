"""Two provisioners on one machine's folder, which `hostler up` does not start: what keeps replicas from being started twice.

The operating system is the witness: every process that was ever seen for a replica counts.
"""

import pytest

from hostler_contracts import subjects
from tests.integration.several.conftest import Witness
from tests.support.job_history import violations
from tests.support.nats_gate import nats_gate
from tests.support.services import Service, Services, processes_seen, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CORES = 4
PROVISIONING = {"lease_seconds": "2", "node_cpu_cores": str(CORES), "node_report_seconds": "1"}
SCHEDULING = {"lease_seconds": "2", "node_stale_seconds": "3600"}


def leads(service: Service) -> bool:
    flips = service.logged("lease.held") + service.logged("lease.not_held")
    last = max(
        (line for line in flips if line["lease"] == "provisioner.local"),
        key=lambda line: str(line["timestamp"]),
        default=None,
    )
    return last is not None and last["event"] == "lease.held"


def waits_for_the_folder(service: Service) -> bool:
    reasons = [line["reason"] for line in service.logged("reconcile.retry")]
    return "another provisioner holds the folder of the local replicas" in reasons


async def test_a_paused_provisioner_keeps_its_machine_and_nothing_starts_twice(
    services: Services, witness: Witness
) -> None:
    """Fault matrix, row 2, as far as one machine goes: its twin has the lease and waits for the folder."""
    services.start("scheduler", "scheduler-1", **SCHEDULING)
    async with nats_gate(services.nats.port) as gate:
        with processes_seen(services) as seen:
            first = services.start("provisioner", "provisioner-1", nats_url=gate.url, **PROVISIONING)
            await until(lambda: leads(first), "the first leads")
            second = services.start("provisioner", "provisioner-2", **PROVISIONING)
            await until(lambda: second.ready, "the second is ready")
            await witness.create("before", runtime="simulated")
            await witness.until_ready("before", 1)

            gate.hold(subjects.JOBS_SUBJECTS.removesuffix(">"))
            await witness.create("meanwhile", runtime="simulated")
            await gate.until_held()
            first.pause()
            await until(lambda: leads(second), "the twin has the lease")
            await until(lambda: waits_for_the_folder(second), "the twin is told that the folder is taken")
            pids = services.replica_processes()

            await gate.let_go()
            first.wake()
            await witness.until_ready("meanwhile", 1)
            await until(lambda: not leads(first), "the first knows that it leads no more")
            await witness.create("after", runtime="simulated")
            await witness.until_ready("after", 1)
            adopted = {line["replica"] for line in second.logged("replica.adopted")}

            assert pids.items() <= services.replica_processes().items(), "what ran was adopted as it was"
            assert adopted == set(pids.values())
            assert await witness.writers("after", "replica.ready") == ["provisioner-2"]
    assert sorted(len(pids) for pids in seen.values()) == [1, 1, 1], "one process per replica, ever"
    (node,) = await witness.bus.bucket(subjects.BUCKET_NODES).keys()
    assert violations(await witness.history(), {node: CORES}) == []
