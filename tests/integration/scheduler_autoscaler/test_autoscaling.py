"""From load windows on METRICS to `job.scaled` in JOBS, and on to replicas."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.service import Autoscaler
from hostler_contracts import subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.load import LoadWindow
from hostler_domain.changes import JobDeleted, JobDeleteRequested, JobScaled
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_router.exchange import Exchange
from hostler_router.metrics import RouterMetrics
from hostler_router.reporting import WindowReporter
from hostler_router.table import RouteTable
from hostler_router.windows import Present, WindowRecorder
from tests.integration.scheduler_autoscaler.site import SCALING, Running, Site, now, tasks
from tests.support.builders import JOB_ID, created, ready, scheduled
from tests.support.eventually import eventually

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

# How much of the last minute is covered depends on how long the test itself took.
UP = re.compile(r"rate: 24 rps over \d\d s / 10 rps per replica = .*: 3 replicas")


async def serving(site: Site, replicas: int = 1, **fields: object) -> None:
    """A job with so many replicas that serve; its target is 10 rps per replica."""
    names = [f"r{number}" for number in range(replicas)]
    await site.append(
        created(initial=replicas, **fields), *map(scheduled, names), *(ready(name) for name in names)
    )


async def ticks(running: Running, number: int = 3) -> None:
    """Let the autoscaler decide a few times more."""

    def decided() -> float:
        name = "hostler_autoscaler_decisions_total"
        return sum(running.count(name, direction=each) for each in ("up", "down", "stay", "hold"))

    before = decided()
    await eventually(lambda: decided() >= before + number)


def desired(site: Site) -> int | None:
    job = site.job()
    return None if job is None else job.status.desired_replicas


async def remember(site: Site, state: PolicyState) -> None:
    await site.bus.bucket(subjects.BUCKET_AUTOSCALER).put(JOB_ID, state.to_json().encode())


async def remembered(site: Site) -> PolicyState:
    entry = await site.bus.bucket(subjects.BUCKET_AUTOSCALER).get(JOB_ID)
    assert entry is not None
    return PolicyState.from_json(entry.value)


def calm_for(seconds: float, *, away_seconds: float = 2) -> PolicyState:
    """What is remembered of a job that has been calm for so long, by an autoscaler that ended a moment ago."""
    since = now().timestamp() - seconds
    seen = now().timestamp() - away_seconds
    return PolicyState(observed_at=seen, valid_since=since, settled_at=since, active_at=since)


async def test_load_leads_to_more_replicas_with_the_reasons_in_the_log(site: Site):
    await site.report_here()
    async with site.scheduler(), site.autoscaler() as autoscaler:
        await site.append(created())
        await site.until_active(1)
        await site.make_ready()
        await site.minute(rps=16)
        await site.minute(rps=8, router="router-2")
        await site.until_active(3)
        change = await site.last_change(JobScaled)
        assert isinstance(change, JobScaled)
        assert change.desired_replicas == 3
        assert re.search(
            r"rate: 2\d[\d.]* rps over \d\d s / 10 rps per replica",
            "; ".join(change.reasons),
        )
        await eventually(lambda: autoscaler.count("hostler_autoscaler_desired_replicas", job=JOB_ID) == 3)
        assert autoscaler.service.ready().detail == "leader"


async def test_windows_from_before_the_start_are_replayed(site: Site):
    await serving(site)
    await site.minute(rps=24)
    async with site.autoscaler():
        await eventually(lambda: desired(site) == 3)
    change = await site.last_change(JobScaled)
    assert isinstance(change, JobScaled)
    assert any(UP.fullmatch(reason) for reason in change.reasons)


async def test_an_autoscaler_that_comes_back_says_the_same_and_appends_nothing(site: Site):
    await serving(site)
    await site.minute(rps=24)
    for _ in range(2):
        async with site.autoscaler() as running:
            await eventually(lambda: desired(site) == 3)
            await ticks(running)
    assert (await site.events()).count("job.scaled") == 1


async def test_the_events_of_the_log_fold_to_the_job_that_the_last_one_carries(site: Site):
    await site.report_here()
    async with site.scheduler(), site.autoscaler():
        await site.append(created())
        await site.until_active(1)
        await site.make_ready()
        await site.minute(rps=24)
        await site.until_active(3)
    folded: Job | None = None
    carried: Job | None = None
    async for _, event in site.log.history("default", JOB_ID):
        folded = evolve(folded, event.data.change)  # type: ignore[attr-defined]  # every job event has data
        carried = event.data.job  # type: ignore[attr-defined]  # as above
        assert folded == carried
    assert folded == site.job()


@pytest.mark.parametrize(
    ("calm_seconds", "away_seconds", "replicas"),
    [(None, 0, 3), (3600, 2, 2), (3600, 70, 3), (200, 2, 3)],
    ids=["nothing remembered", "a window and more", "too long ago", "less than a window"],
)
async def test_what_was_remembered_decides_whether_it_may_go_down(
    site: Site, calm_seconds: float | None, away_seconds: float, replicas: int
):
    await serving(site, 3)
    if calm_seconds is not None:
        await remember(site, calm_for(calm_seconds, away_seconds=away_seconds))
    await site.minute(rps=1)
    async with site.autoscaler() as running:
        await ticks(running)
        assert desired(site) == replicas


async def test_what_is_learnt_is_stored(site: Site):
    await serving(site, 2)
    await site.minute(rps=12)
    async with site.autoscaler() as running:
        await ticks(running)
    state = await remembered(site)
    assert state.valid_since is not None
    assert state.ready == 2


async def test_what_was_remembered_when_it_was_scaled_last_is_in_the_log_and_found_there(site: Site):
    await serving(site)
    await site.minute(rps=24)
    async with site.autoscaler():
        await eventually(lambda: desired(site) == 3)
    change = await site.last_change(JobScaled)
    assert isinstance(change, JobScaled)
    assert change.policy_state is not None
    carried = PolicyState.from_json(change.policy_state)
    assert carried.valid_since is not None
    await site.bus.bucket(subjects.BUCKET_AUTOSCALER).delete(JOB_ID)
    async with site.autoscaler() as running:
        await ticks(running)
    assert (await remembered(site)).valid_since == carried.valid_since


@pytest.mark.parametrize(("runtime", "replicas"), [("whisper", 3), ("llamacpp", 1)])
async def test_a_job_that_listens_scales_with_the_seconds_of_audio_not_with_requests(
    site: Site, runtime: str, replicas: int
):
    """Its requests used to be of ten seconds, and are of thirty now."""
    await serving(site, runtime=runtime)
    await remember(site, replace(calm_for(3600), work=10.0))
    await site.minute(rps=8, audio_seconds=30)
    async with site.autoscaler() as running:
        await ticks(running)
        assert desired(site) == replicas


async def test_without_windows_it_holds(site: Site):
    await serving(site, 3)
    await remember(site, calm_for(3600))
    async with site.autoscaler() as running:
        await eventually(lambda: running.count("hostler_autoscaler_decisions_total", direction="hold") >= 3)
        assert desired(site) == 3


async def test_a_sleeping_job_wakes_by_a_request_that_was_turned_away(site: Site):
    await site.report_here()
    await site.append(created(minimum=0, initial=0))
    await site.minute(rps=0)
    async with site.scheduler(), site.autoscaler() as running:
        await ticks(running)
        assert desired(site) == 0
        await site.load(
            LoadWindow(
                router="router-1",
                job_id=JOB_ID,
                started_at=now() - timedelta(seconds=5),
                seconds=5,
                arrivals=1,
                completed=0,
                failed=0,
                rejected=1,
                in_flight=0,
            )
        )
        await site.until_active(1)
    change = await site.last_change(JobScaled)
    assert isinstance(change, JobScaled)
    assert change.reasons[0] == "awake with 1: a request came"


@pytest.mark.parametrize(
    "wanted", [{"rejected": 1}, {"queued": 1}, {"in_flight": 1}, {"completed": 1}], ids=str
)
async def test_whoever_wants_a_sleeping_job_wakes_it_at_once_not_at_the_next_tick(
    site: Site, wanted: dict[str, int]
):
    """After the one look that the test asks for, nothing but the window makes the autoscaler look."""
    await site.report_here()
    await site.append(created(minimum=0, initial=0))
    await site.minute(rps=0)
    never = SCALING.model_construct(tick_seconds=3600.0)
    async with site.scheduler(), site.autoscaler(settings=never) as running:
        await eventually(lambda: running.service.ready().detail == "leader")
        running.service.loop.note()
        await eventually(lambda: running.count("hostler_autoscaler_decisions_total", direction="stay") == 1)
        window = {"arrivals": 1, "completed": 0, "failed": 0, "in_flight": 0, **wanted}
        await site.load(
            LoadWindow(
                router="router-1",
                job_id=JOB_ID,
                started_at=now() - timedelta(seconds=0.2),
                seconds=0.2,
                **window,  # type: ignore[arg-type]  # counts, all of them
            )
        )
        await site.until_active(1)


async def test_a_request_that_begins_to_wait_at_a_router_wakes_the_job_without_any_period(site: Site):
    """From the router's recorder to a placed replica, with periods and ticks of an hour."""
    await site.report_here()
    job = await site.append(created(minimum=0, initial=0))
    recorder = WindowRecorder(queues=True)
    reporter = WindowReporter(
        site.bus,
        RouteTable([job]),
        recorder,
        Present,
        name="router-1",
        period_seconds=3600,
        clock=site.clock,
        metrics=RouterMetrics(CollectorRegistry()),
        logger=structlog.get_logger(),
    )
    never = SCALING.model_construct(tick_seconds=3600.0)
    async with site.scheduler(), site.autoscaler(settings=never) as running, tasks(reporter.run()):
        await eventually(lambda: running.service.ready().detail == "leader")
        recorder.arrived(JOB_ID)
        recorder.waits(JOB_ID)
        waiting = Exchange("request-1", "/v1/chat/completions", 0.0)
        waiting.trace, waiting.tracestate = TRACE, "rojo=1"
        reporter.hurry(JOB_ID, waiting)
        await site.until_active(1)
    change = await site.last_change(JobScaled)
    assert isinstance(change, JobScaled)
    # The scheduler's part follows from it, and is part of the same trace.
    known = await site.log.load("default", JOB_ID)
    assert known is not None
    assert known.trace == TraceContext(TRACE, "rojo=1")
    assert change.reasons[0] == "awake with 1: a request came"


async def test_a_message_that_is_no_window_is_passed_over(site: Site):
    await serving(site)
    await site.bus.append(subjects.metrics("default", JOB_ID), b"not a window", msg_id="1")
    await site.minute(rps=24)
    async with site.autoscaler():
        await eventually(lambda: desired(site) == 3)


async def test_the_memory_of_a_deleted_job_goes(site: Site):
    await site.append(created())
    bucket = site.bus.bucket(subjects.BUCKET_AUTOSCALER)
    async with site.autoscaler() as running:
        await ticks(running)
        assert await bucket.keys() == (JOB_ID,)
        await site.append(JobDeleteRequested(now(), "key-1"), JobDeleted(now()))
        gauge, labels = "hostler_autoscaler_desired_replicas", {"job": JOB_ID}
        await eventually(lambda: running.registry.get_sample_value(gauge, labels) is None)
        assert await bucket.keys() == ()


async def test_of_two_autoscalers_one_acts_and_the_other_takes_over(site: Site):
    await serving(site)
    async with site.autoscaler("stays") as other:
        async with site.autoscaler("goes") as one:
            await eventually(lambda: one.lease.held != other.lease.held)
            await site.minute(rps=15)
            await eventually(lambda: desired(site) == 2)
        await eventually(lambda: other.lease.held)
        await site.minute(rps=24, router="router-2")
        await eventually(lambda: desired(site) == 3)
    assert (await site.events()).count("job.scaled") == 2


async def test_a_decision_for_a_job_that_changed_meanwhile_is_dropped(site: Site, monkeypatch):
    """Between the decision and the append, somebody else scales the job: that stands until the next tick decides again."""
    await serving(site)
    async with site.autoscaler() as running:
        service = running.service
        assert isinstance(service, Autoscaler)
        execute, seen = service._log.execute, []

        async def late_execute(project, job_id, decide, **more):
            if not seen:
                await site.append(JobScaled(now(), 1, 2, ("by hand",)))
            entry = await execute(project, job_id, decide, **more)
            seen.append(entry.job.status.desired_replicas)
            return entry

        monkeypatch.setattr(service._log, "execute", late_execute)
        await site.minute(rps=24)
        await eventually(lambda: desired(site) == 3)
        await eventually(lambda: len(seen) == 2)
    assert seen == [2, 3]
    change = await site.last_change(JobScaled)
    assert isinstance(change, JobScaled)
    assert change.previous_replicas == 2
