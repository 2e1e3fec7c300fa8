"""Schedules, holds, shadows, records and advice in the autoscaler's own shell, as it runs."""

from dataclasses import replace
from datetime import timedelta

from hostler_autoscaler.engine_fit import EngineFit
from hostler_autoscaler.engine_identity import fingerprint
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.records import decided_again
from hostler_contracts import subjects
from hostler_contracts.decisions import DecisionRecord, decode_decision
from hostler_domain.changes import JobScaled, JobUpdated
from hostler_domain.job import ScaleHold
from hostler_domain.scaling import ScalingMetric, ScalingTarget, ShadowScaling
from hostler_domain.scheduled_bounds import ScheduledBounds
from tests.integration.scheduler_autoscaler.site import SCALING, Running, Site, now
from tests.support.builders import JOB_ID, created, ready, scheduled, spec
from tests.support.eventually import eventually

OFTEN = SCALING.model_copy(update={"save_seconds": 0.01})
ALWAYS = ScheduledBounds("* * * * *", 3600, min_replicas=2)


def desired(site: Site) -> int | None:
    job = site.job()
    return None if job is None else job.status.desired_replicas


async def decisions(running: Running, number: int = 5) -> None:
    """Let it decide a few times more."""

    def decided() -> float:
        name = "hostler_autoscaler_decisions_total"
        return sum(running.count(name, direction=each) for each in ("up", "down", "stay", "hold"))

    before = decided()
    await eventually(lambda: decided() >= before + number)


async def records(site: Site) -> list[DecisionRecord]:
    return [
        decode_decision(message.data).data
        async for message in site.bus.history(subjects.DECISIONS, subjects.decisions("default", JOB_ID))
    ]


async def told(site: Site) -> list[tuple[str, DecisionRecord]]:
    """Each record with the autoscaler that made it."""
    found = site.bus.history(subjects.DECISIONS, subjects.decisions("default", JOB_ID))
    events = [decode_decision(message.data) async for message in found]
    return [(event.source.rpartition("/")[2], event.data) for event in events]


async def eventually_recorded_by(site: Site, autoscaler: str) -> None:
    for _ in range(500):
        if any(source == autoscaler for source, _ in await told(site)):
            return
        await site.clock.sleep(0.01)
    raise AssertionError("nothing was recorded")


async def test_an_open_window_raises_the_number_with_its_reason(site: Site) -> None:
    usual = spec()
    windowed = replace(usual, scaling=replace(usual.scaling, schedule=(ALWAYS,)))
    await site.append(created(), scheduled(), ready())
    async with site.autoscaler() as running:
        await decisions(running)
        assert desired(site) == 1
        await site.append(JobUpdated(now(), windowed, 1, "key-1"))
        await eventually(lambda: desired(site) == 2)
        change = await site.last_change(JobScaled)
        assert isinstance(change, JobScaled)
        assert change.reasons[-1] == "schedule '* * * * *' (UTC): at least 2"
        await eventually_recorded(site, 2)
    assert (await records(site))[-1].bounds == ("schedule '* * * * *' (UTC): at least 2",)


async def test_what_was_learned_of_a_replica_is_forgotten_when_the_job_moves_to_other_hardware(
    site: Site,
) -> None:
    learned = PolicyState(
        serves=fingerprint(spec()), engine=EngineFit().with_sample(4.0, 30.0), rps=2.0, active_at=7.0
    )
    bucket = site.bus.bucket(subjects.BUCKET_AUTOSCALER)
    await bucket.put(JOB_ID, learned.to_json().encode())

    async def remembered() -> PolicyState:
        entry = await bucket.get(JOB_ID)
        return PolicyState.from_json(entry.value) if entry else PolicyState()

    await site.append(created(), scheduled(), ready())
    async with site.autoscaler(settings=SCALING.model_copy(update={"save_seconds": 0.01})) as running:
        await decisions(running)
        assert (await remembered()).engine == learned.engine
        moved = replace(spec(), hardware_profile="another")
        await site.append(JobUpdated(now(), moved, 2, "key-1"))
        await decisions(running, 10)
        found = await remembered()
    assert (found.serves, found.engine, found.rps) == (fingerprint(moved), EngineFit(), None)


async def eventually_recorded(site: Site, replicas: int) -> None:
    for _ in range(500):
        found = await records(site)
        if found and found[-1].decision.replicas == replicas:
            return
        await site.clock.sleep(0.01)
    raise AssertionError("nothing was recorded")


async def test_a_held_number_stays_whatever_the_load_is(site: Site) -> None:
    hold = ScaleHold(1, now() + timedelta(hours=1))
    await site.append(created(), scheduled(), ready(), JobScaled(now(), 1, 1, ("asked for",), hold=hold))
    await site.minute(rps=24)
    async with site.autoscaler() as running:
        await decisions(running)
        assert desired(site) == 1
        job = site.job()
        assert job is not None
        assert job.status.hold == hold
        await site.append(JobScaled(now(), 1, 1, ("asked for",)))
        await eventually(lambda: desired(site) == 3)


async def test_a_hold_at_none_keeps_a_job_asleep_whoever_waits(site: Site) -> None:
    hold = ScaleHold(0, now() + timedelta(hours=1))
    await site.append(
        created(minimum=0), scheduled(), ready(), JobScaled(now(), 1, 0, ("asked for",), hold=hold)
    )
    await site.minute(rps=24)
    async with site.autoscaler() as running:
        await decisions(running)
        assert desired(site) == 0


async def test_both_policies_are_recorded_and_only_the_first_one_counts(site: Site) -> None:
    shadow = ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 8.0),))
    usual = spec()
    await site.append(created(scaling=replace(usual.scaling, shadow=shadow)), scheduled(), ready())
    await site.minute(rps=14)
    async with site.autoscaler():
        await eventually(lambda: desired(site) == 2)
        await eventually_recorded(site, 2)
    found = await records(site)
    assert all(record.shadow is not None for record in found)
    for record in found:
        assert decided_again(record).model_dump_json() == record.decision.model_dump_json()
        assert record.shadow is not None
        assert decided_again(record.shadow).model_dump_json() == record.shadow.decision.model_dump_json()
    up = next(record for record in found if record.decision.replicas == 2)
    assert (up.previous_replicas, up.kind.partition(":")[0]) == (1, "up")
    assert (await site.events()).count("job.scaled") == 1


async def test_after_a_restart_the_shadow_goes_on_from_its_own_number(site: Site) -> None:
    shadow = ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),))
    usual = spec()
    await site.append(created(scaling=replace(usual.scaling, shadow=shadow)), scheduled(), ready())
    await site.minute(rps=14)
    async with site.autoscaler("autoscaler-1") as running:
        await eventually(lambda: desired(site) == 2)
        await decisions(running)
    async with site.autoscaler("autoscaler-2") as running:
        await decisions(running)
        await eventually_recorded_by(site, "autoscaler-2")
    ours = [record for source, record in await told(site) if source == "autoscaler-2"]
    first = ours[0].shadow
    assert first is not None
    assert ours[0].observation["desired"] == 2
    assert first.observation["desired"] == 3
    assert "valid_since" in first.state


async def test_a_shadow_that_is_taken_away_is_stored_no_longer(site: Site) -> None:
    shadow = ShadowScaling(targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),))
    usual = spec()
    await site.append(created(scaling=replace(usual.scaling, shadow=shadow)), scheduled(), ready())
    await site.minute(rps=14)
    bucket = site.bus.bucket(subjects.BUCKET_AUTOSCALER)
    async with site.autoscaler(settings=OFTEN) as running:
        await decisions(running)
        assert await bucket.get(f"{JOB_ID}.shadow") is not None
        await site.append(JobUpdated(now(), usual, 1, "key-1"))
        await decisions(running, 20)
        assert await bucket.get(f"{JOB_ID}.shadow") is None
        assert await bucket.get(JOB_ID) is not None
