"""Two schedulers, two autoscalers: who leads, who takes over, and what a leader may still do that slept too long.

The processes are real and so is NATS; the judge reads the log alone. That a late writer meets its refusal is made certain, not
hoped for: a gate holds its append back, as a slow network would, until its twin has acted.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, LoadWindowV1, encode_window
from hostler_domain.changes import ReplicaReady
from hostler_domain.phases import PhaseReason
from hostler_kit.ids import new_id
from tests.integration.several.conftest import Witness
from tests.support.job_history import violations
from tests.support.nats_gate import nats_gate
from tests.support.services import Service, Services, processes_seen, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LEASE_SECONDS = 2
SCHEDULING = {"lease_seconds": str(LEASE_SECONDS), "node_stale_seconds": "3600", "resync_seconds": "1"}
SCALING = {"lease_seconds": str(LEASE_SECONDS), "tick_seconds": "0.2"}
CORES = 8


async def one_after_the_other(
    services: Services, kind: str, settings: dict[str, str], *, first_nats_url: str | None = None
) -> tuple[Service, Service]:
    """Two of a kind, of which the first leads."""
    first = services.start(kind, f"{kind}-1", nats_url=first_nats_url, **settings)
    await until(lambda: first.leads, "the first leads")
    second = services.start(kind, f"{kind}-2", **settings)
    await until(lambda: second.detail("projections") == "standing by", "the second stands by")
    return first, second


async def assert_legal(witness: Witness) -> None:
    assert violations(await witness.history(), {"local/node-a": CORES}) == []


async def test_a_killed_scheduler_is_followed_within_the_time_of_its_lease(
    services: Services, witness: Witness
) -> None:
    await witness.report_node(CORES)
    first, second = await one_after_the_other(services, "scheduler", SCHEDULING)
    await witness.create("before")
    await witness.until_active("before", 1)

    first.kill()
    killed_at = asyncio.get_running_loop().time()
    await witness.create("meanwhile", replicas=2)
    await witness.until_active("meanwhile", 2)
    took = asyncio.get_running_loop().time() - killed_at

    assert second.leads
    assert await witness.writers("before", "replica.scheduled") == ["scheduler-1"]
    assert await witness.writers("meanwhile", "replica.scheduled") == ["scheduler-2"] * 2
    assert took < LEASE_SECONDS + 3, "the lease has to run out, and then it goes on at once"
    await assert_legal(witness)


async def test_a_scheduler_that_is_told_to_end_hands_over_at_once(
    services: Services, witness: Witness
) -> None:
    await witness.report_node(CORES)
    # With the hand-over left to the clock this test would run out of time.
    first, second = await one_after_the_other(services, "scheduler", {**SCHEDULING, "lease_seconds": "3600"})

    assert first.end() == 0
    await witness.create("after")
    await witness.until_active("after", 1)

    assert second.leads
    assert await witness.writers("after", "replica.scheduled") == ["scheduler-2"]


async def test_a_scheduler_that_slept_past_its_lease_loses_its_write(
    services: Services, witness: Witness
) -> None:
    """Fault matrix, row 2."""
    services.start("provisioner", "provisioner-1", node_cpu_cores="1")
    async with nats_gate(services.nats.port) as gate:
        with processes_seen(services) as seen:
            first, second = await one_after_the_other(
                services, "scheduler", SCHEDULING, first_nats_url=gate.url
            )
            gate.hold(subjects.JOBS_SUBJECTS.removesuffix(">"))
            # Room for one: whoever places the second job gives it away as well.
            await witness.create("job-a", runtime="simulated")
            await witness.create("job-b", runtime="simulated")
            await gate.until_held()
            first.pause()
            (decided,) = gate.held
            assert b"replica-scheduled" in decided

            await until(lambda: second.leads, "the twin takes over")
            await witness.until_ready("job-a", 1)
            await until(lambda: witness.reason("job-b") is PhaseReason.NO_CAPACITY, "the other waits")
            before = await witness.history()
            await gate.let_go()
            first.wake()
            await until(
                lambda: first.metric("hostler_scheduler_overtaken_total") == 1, "the late write is refused"
            )

            assert await witness.history() == before, "nothing of it was stored"
            await until(
                lambda: first.detail("projections") == "standing by", "it knows that it leads no more"
            )
            assert second.leads
    assert await witness.writers("job-a", "replica.scheduled") == ["scheduler-2"]
    assert await witness.writers("job-b", "replica.scheduled") == []
    assert [len(pids) for pids in seen.values()] == [1], "one process of one replica was ever started"
    (node,) = await witness.bus.bucket(subjects.BUCKET_NODES).keys()
    assert violations(await witness.history(), {node: 1}) == []


async def load(witness: Witness, job_id: str, *, rps: int) -> None:
    """What a router would have said of the last minute."""
    for number in range(12, 0, -1):
        window = LoadWindow(
            router="router-1",
            job_id=job_id,
            started_at=datetime.now(UTC) - timedelta(seconds=5 * number),
            seconds=5,
            arrivals=rps * 5,
            completed=rps * 5,
            failed=0,
            in_flight=0,
        )
        event = LoadWindowV1(
            id=new_id(),
            source="/hostler/router/test",
            subject=job_id,
            time=datetime.now(UTC),
            project="default",
            data=window,
        )
        await witness.bus.append(subjects.metrics("default", job_id), encode_window(event), msg_id=event.id)


async def test_an_autoscaler_that_slept_past_its_lease_loses_its_decision(
    services: Services, witness: Witness
) -> None:
    """Fault matrix, row 2."""
    await witness.report_node(CORES)
    services.start("scheduler", "scheduler-1", **SCHEDULING)
    async with nats_gate(services.nats.port) as gate:
        first, second = await one_after_the_other(services, "autoscaler", SCALING, first_nats_url=gate.url)
        await witness.create("busy")
        (replica,) = (await witness.until_active("busy", 1)).active_replicas
        await witness.append(
            "busy", ReplicaReady(datetime.now(UTC), replica.replica_id, "http://127.0.0.1:9")
        )
        gate.hold(subjects.JOBS_SUBJECTS.removesuffix(">"))
        await load(witness, "busy", rps=25)
        await gate.until_held()
        first.pause()
        (decided,) = gate.held
        assert b"job-scaled" in decided

        await until(lambda: second.leads, "the twin takes over")
        await witness.until_active("busy", 3)
        before = await witness.history()
        await gate.let_go()
        first.wake()
        await until(lambda: first.detail("projections") == "standing by", "it knows that it leads no more")
        await until(lambda: first.metric("hostler_autoscaler_leader") == 0, "it has come round once more")

        assert await witness.history() == before, "nothing of it was stored"
    assert await witness.writers("busy", "job.scaled") == ["autoscaler-2"]
    assert first.logged("reconcile.failed") == []
    await assert_legal(witness)
