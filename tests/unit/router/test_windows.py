from hostler_contracts.load import LoadWindow, ReplicaLoad, RuntimeLoad
from hostler_domain.histogram import bucket
from hostler_router.answer_usage import Usage
from hostler_router.windows import Present, WindowRecorder
from tests.support.builders import NOW


def cut(recorder: WindowRecorder, *job_ids: str) -> list[LoadWindow]:
    jobs = dict.fromkeys(job_ids, ())
    return recorder.cut(jobs, Present(), router="router-1", started_at=NOW, seconds=5.0)


def test_a_job_without_requests_has_a_window_of_zeros() -> None:
    assert cut(WindowRecorder(), "job-1") == [
        LoadWindow(
            router="router-1",
            job_id="job-1",
            started_at=NOW,
            seconds=5.0,
            arrivals=0,
            completed=0,
            failed=0,
            rejected=0,
            in_flight=0,
        )
    ]


def test_a_window_holds_what_happened_to_its_job() -> None:
    recorder = WindowRecorder()
    for _ in range(4):
        recorder.arrived("job-1")
    recorder.first_token("job-1", "r1", 30)
    recorder.completed("job-1", "r1", 100)
    recorder.completed("job-1", "r1", 101)
    recorder.used("job-1", "r1", Usage(10, 20))
    recorder.used("job-1", "r1", Usage(1, 2))
    recorder.failed("job-1", "r2")
    for _ in range(3):
        recorder.left("job-1")
    recorder.rejected("job-1")
    recorder.arrived("job-2")

    window, other = cut(recorder, "job-1", "job-2")

    assert (window.arrivals, window.completed, window.failed, window.rejected) == (5, 2, 1, 1)
    assert window.in_flight == 1
    assert window.latency_ms == {bucket(100): 2}
    assert window.first_token_ms == {bucket(30): 1}
    assert (window.prompt_tokens, window.completion_tokens) == (11, 22)
    assert (other.arrivals, other.in_flight) == (1, 1)
    assert window.replicas == {
        "r1": ReplicaLoad(
            completed=2,
            latency_ms={bucket(100): 2},
            first_token_ms={bucket(30): 1},
            prompt_tokens=11,
            completion_tokens=22,
        ),
        "r2": ReplicaLoad(failed=1),
    }


def test_a_ready_replica_without_requests_is_in_the_window_with_zeros() -> None:
    recorder = WindowRecorder()
    (window,) = recorder.cut(
        {"job-1": ["r1", "r2"]}, Present({"r2": 3}), router="router-1", started_at=NOW, seconds=5.0
    )
    assert window.replicas == {"r1": ReplicaLoad(), "r2": ReplicaLoad(in_flight=3)}


def test_a_request_that_reached_no_replica_counts_for_the_job_alone() -> None:
    recorder = WindowRecorder()
    recorder.failed("job-1", "")
    (window,) = cut(recorder, "job-1")
    assert (window.failed, window.replicas) == (1, {})


def test_counting_starts_anew_but_what_is_in_flight_stays() -> None:
    recorder = WindowRecorder()
    recorder.arrived("job-1")
    cut(recorder, "job-1")

    (second,) = cut(recorder, "job-1")
    assert (second.arrivals, second.in_flight) == (0, 1)

    recorder.left("job-1")
    (third,) = cut(recorder, "job-1")
    assert third.in_flight == 0


def test_an_earlier_window_does_not_change_afterwards() -> None:
    recorder = WindowRecorder()
    recorder.completed("job-1", "r1", 10)
    (first,) = cut(recorder, "job-1")
    recorder.completed("job-1", "r1", 10)
    assert first.completed == 1
    assert first.latency_ms == {bucket(10): 1}


def test_what_waits_is_queued_and_not_in_flight() -> None:
    recorder = WindowRecorder(queues=True)
    for _ in range(3):
        recorder.arrived("job-1")
    recorder.waits("job-1")
    recorder.waits("job-1")
    (window,) = cut(recorder, "job-1")
    assert (window.arrivals, window.in_flight, window.queued) == (3, 1, 2)

    recorder.waits_no_more("job-1")  # it has a replica now
    (window,) = cut(recorder, "job-1")
    assert (window.in_flight, window.queued) == (2, 1)

    recorder.waits_no_more("job-1")  # it has waited in vain
    recorder.turned_away("job-1")
    recorder.left("job-1")
    (window,) = cut(recorder, "job-1")
    assert (window.arrivals, window.rejected, window.in_flight, window.queued) == (0, 1, 2, 0)


def test_a_router_without_a_queue_says_nothing_of_one() -> None:
    (window,) = cut(WindowRecorder(), "job-1")
    assert window.queued is None


def test_one_job_can_be_cut_alone() -> None:
    recorder = WindowRecorder(queues=True)
    for job_id in ("job-1", "job-2"):
        recorder.arrived(job_id)
    recorder.waits("job-1")

    early = recorder.cut_one("job-1", (), Present(), router="router-1", started_at=NOW, seconds=0.2)
    assert (early.job_id, early.seconds, early.arrivals, early.queued) == ("job-1", 0.2, 1, 1)

    one, two = cut(recorder, "job-1", "job-2")
    assert (one.arrivals, one.queued, two.arrivals) == (0, 1, 1)


def test_latencies_and_the_tokens_of_those_that_had_some_are_added_up() -> None:
    recorder = WindowRecorder()
    recorder.completed("job-1", "r1", 100.5, 10)
    recorder.completed("job-1", "r2", 300, 20)
    recorder.completed(
        "job-1", "r1", 1000
    )  # its runtime counts no tokens: it tells nothing of the time per token

    window, idle = cut(recorder, "job-1", "job-2")

    assert window.latency_total_ms == 1400.5
    assert (window.timed_ms, window.timed_tokens) == (400.5, 30)
    assert (idle.latency_total_ms, idle.timed_ms, idle.timed_tokens) == (None, None, None)


def test_a_window_tells_how_things_stand_at_its_end() -> None:
    recorder = WindowRecorder(queues=True)
    for job_id in ("job-1", "job-2"):
        recorder.arrived(job_id)
    recorder.waits("job-1")
    said = RuntimeLoad(running=1, waiting=2, kv_utilisation=0.5)
    present = Present(queue_age_seconds=lambda _: 2.5, runtimes={"r1": said}, leaves=True)

    one, two = recorder.cut(
        {"job-1": ["r1"], "job-2": ["r2"]}, present, router="router-1", started_at=NOW, seconds=5.0
    )

    assert (one.queue_age_seconds, two.queue_age_seconds) == (2.5, None)
    assert one.replicas["r1"].runtime == said
    assert two.replicas["r2"].runtime is None
    assert one.leaves
    assert two.leaves
