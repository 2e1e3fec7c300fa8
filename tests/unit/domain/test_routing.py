"""What an owner may choose about routing, what is refused by name, and that choosing restarts nothing."""

from dataclasses import replace

import pytest

from hostler_domain.commands import decide
from hostler_domain.errors import InvalidFields
from hostler_domain.evolve import evolve
from hostler_domain.lifecycle import UpdateJob, needs_rollout
from hostler_domain.phases import JobPhase
from hostler_domain.routing import EXTRA_ROUTES, Balancing, Routing, allowed_extra_routes, routing_errors
from hostler_domain.spec_rules import spec_errors
from tests.support.builders import at, running_job, spec

CHOSEN = Routing(Balancing.PREFIX, queue_max=500, extra_routes=("rerank",))


def wrong(**fields: object) -> list[str]:
    return [error.field for error in routing_errors(Routing(**fields))]  # type: ignore[arg-type]  # a test's wrong values are the point


@pytest.mark.parametrize(
    "routing",
    [
        Routing(),
        CHOSEN,
        Routing(prefix_chars=1, concurrency_per_replica=1, queue_max=0, queue_timeout_seconds=0),
        Routing(
            prefix_chars=65536, concurrency_per_replica=100_000, queue_max=100_000, queue_timeout_seconds=3600
        ),
        Routing(Balancing.SESSION, session_header="x_my.session!"),
        Routing(extra_routes=EXTRA_ROUTES),
    ],
)
def test_what_makes_sense_is_taken(routing: Routing) -> None:
    assert list(spec_errors(spec(routing=routing), None)) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prefix_chars": 0}, ["routing.prefix_chars"]),
        ({"prefix_chars": 65537}, ["routing.prefix_chars"]),
        ({"concurrency_per_replica": 0}, ["routing.concurrency_per_replica"]),
        ({"concurrency_per_replica": 100_001}, ["routing.concurrency_per_replica"]),
        ({"queue_max": -1}, ["routing.queue_max"]),
        ({"queue_max": 100_001}, ["routing.queue_max"]),
        ({"queue_timeout_seconds": -1}, ["routing.queue_timeout_seconds"]),
        ({"queue_timeout_seconds": 3601}, ["routing.queue_timeout_seconds"]),
        ({"session_header": ""}, ["routing.session_header"]),
        ({"session_header": "X-Session-Id"}, ["routing.session_header"]),
        ({"session_header": "x session"}, ["routing.session_header"]),
        ({"session_header": "x-session\n"}, ["routing.session_header"]),
        ({"session_header": "x" * 65}, ["routing.session_header"]),
        (
            {"extra_routes": ("rerank", "files", "rerank")},
            ["routing.extra_routes.1", "routing.extra_routes.2"],
        ),
        ({"queue_max": -1, "prefix_chars": 0}, ["routing.prefix_chars", "routing.queue_max"]),
    ],
)
def test_what_makes_none_is_refused_by_name(fields: dict[str, object], named: list[str]) -> None:
    assert wrong(**fields) == named


def test_the_rules_of_a_spec_hold_for_its_routing_too() -> None:
    job = running_job()
    bad = replace(job.spec, routing=Routing(queue_max=-1))
    with pytest.raises(InvalidFields) as refusal:
        decide(job, UpdateJob(at(50), bad, "k"))
    assert [error.field for error in refusal.value.errors] == ["routing.queue_max"]


def test_another_routing_replaces_no_replica() -> None:
    job = running_job(replicas=2)
    other = replace(job.spec, routing=CHOSEN)
    assert not needs_rollout(job.spec, other)

    (change,) = decide(job, UpdateJob(at(50), other, "k"))
    updated = evolve(job, change)

    assert updated.spec.routing == CHOSEN
    assert (updated.generation, updated.status.phase) == (job.generation, JobPhase.RUNNING)
    assert updated.replicas == job.replicas


@pytest.mark.parametrize(
    ("runtime", "asked", "allowed"),
    [
        ("vllm", (), {"responses"}),
        ("vllm", ("rerank",), {"responses", "rerank"}),
        ("llamacpp", ("score",), {"responses", "score"}),
        ("simulated", (), set()),
        ("external", (), set()),
        ("external", ("responses", "score"), {"responses", "score"}),
        ("whisper", (), set()),
    ],
)
def test_which_routes_beside_the_standard_ones_are_allowed(
    runtime: str, asked: tuple[str, ...], allowed: set[str]
) -> None:
    assert allowed_extra_routes(Routing(extra_routes=asked), runtime) == allowed
