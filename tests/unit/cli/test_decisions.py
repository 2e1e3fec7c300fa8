"""Where the command line finds Hostler, what it says about errors, and how it puts jobs into words."""

from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from hostler_cli import job_text
from hostler_cli.context import Flags, LocalStack, choose
from hostler_cli.exit_codes import ExitCode
from hostler_cli.explain import explanation_lines
from hostler_cli.failures import CliError, Failure, explain
from hostler_cli.output import columns
from hostler_cli.progress import PlainProgress, changed_lines, rendered
from hostler_client import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    Job,
    JobEvent,
    JobFailed,
    NotFound,
    Unauthorized,
    Unavailable,
    Unreachable,
    WaitTimeout,
)
from hostler_client.errors import FieldProblem
from hostler_client.models import Explanation, NodeExplained, PlacementExplained
from hostler_domain.changes import (
    Change,
    JobDeleteRequested,
    JobPending,
    JobScaled,
    ReplicaFailed,
    ReplicaLoading,
    ReplicaScheduled,
)
from hostler_domain.job import Progress
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from tests.support.builders import JOB_ID, MODEL, NODE, NOW, at, created, ready, scheduled
from tests.unit.client.fake_api import FakeHistory, events_of

STACK = LocalStack(Path("/data"), "http://127.0.0.1:8080", "http://127.0.0.1:8000", "hsk_admin")
NO_STACK = LocalStack(Path("/data"))
ENVIRON = {
    "HOSTLER_API_URL": "http://far",
    "HOSTLER_ROUTER_URL": "http://far:8",
    "HOSTLER_API_KEY": "hsk_env",
}


def job_after(*changes: Change) -> Job:
    return event_of(*changes).job


def event_of(*changes: Change) -> JobEvent:
    """The event of the last change."""
    return JobEvent.model_validate(events_of(FakeHistory(list(changes), len(changes)), 0)[-1])


@pytest.mark.parametrize(
    ("flags", "environ", "stack", "address", "key"),
    [
        pytest.param(Flags(), {}, STACK, STACK.api_url, "hsk_admin", id="the stack of this machine"),
        pytest.param(Flags(), ENVIRON, STACK, "http://far", "hsk_env", id="the environment before the stack"),
        pytest.param(
            Flags(api_url="http://flag/v1"), ENVIRON, STACK, "http://flag", "hsk_env", id="flags before all"
        ),
        pytest.param(
            Flags(api_url=STACK.api_url),
            {},
            STACK,
            STACK.api_url,
            "hsk_admin",
            id="the stack's address by a flag",
        ),
        pytest.param(
            Flags(),
            {"HOSTLER_API_KEY": "hsk_env"},
            STACK,
            STACK.api_url,
            "hsk_env",
            id="another key for the stack",
        ),
    ],
)
def test_flags_go_before_the_environment_before_the_stack(
    flags: Flags, environ: dict[str, str], stack: LocalStack, address: str, key: str
) -> None:
    found = choose(flags, environ, stack, None, needs_router=False)
    assert (found.api_url, found.api_key) == (address, key)


def test_a_key_file_goes_before_every_other_key() -> None:
    assert choose(Flags(), ENVIRON, STACK, "hsk_file", needs_router=False).api_key == "hsk_file"


def test_the_admin_key_is_never_sent_to_another_address() -> None:
    with pytest.raises(CliError, match="no API key for http://far") as refused:
        choose(Flags(api_url="http://far"), {}, STACK, None, needs_router=False)
    assert refused.value.code is ExitCode.AUTH
    assert choose(Flags(router_url="http://far"), {}, STACK, None, needs_router=True).api_key is None


def test_the_router_has_an_address_of_its_own() -> None:
    assert choose(Flags(), {}, STACK, None, needs_router=True).router_url == STACK.router_url
    assert choose(Flags(), ENVIRON, STACK, None, needs_router=True).router_url == "http://far:8"


def test_nothing_to_talk_to_says_what_to_do() -> None:
    with pytest.raises(CliError, match="HOSTLER_API_URL is not set") as refused:
        choose(Flags(), {}, NO_STACK, None, needs_router=False)
    assert "hostler up" in refused.value.hint


def refusal(kind: type[ApiError], status: int) -> ApiError:
    return kind(status=status, title="No", detail="because", request_id="r-1")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusal(Invalid, 400), ExitCode.USAGE),
        (refusal(Unauthorized, 401), ExitCode.AUTH),
        (refusal(Forbidden, 403), ExitCode.AUTH),
        (refusal(NotFound, 404), ExitCode.NOT_FOUND),
        (refusal(Conflict, 409), ExitCode.CONFLICT),
        (refusal(Unavailable, 503), ExitCode.FAILURE),
        (refusal(ApiError, 500), ExitCode.FAILURE),
        (Unreachable("nobody"), ExitCode.FAILURE),
        (WaitTimeout("late", None), ExitCode.TIMEOUT),
        (JobFailed("broken", job_after(created())), ExitCode.FAILURE),
        (CliError("this way", code=ExitCode.CONFLICT), ExitCode.CONFLICT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_kind_of_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    failure = explain(error)
    assert failure is not None
    assert failure.code is code
    assert failure.lines[0].startswith("error: ")


def test_what_a_scheduler_says_of_every_node_takes_the_place_of_what_the_record_says_of_some() -> None:
    found = Explanation(
        job_id="1",
        name="demo",
        phase="Pending",
        phase_since=NOW,
        phase_reason="Preempted",
        why=("gave way to job j", "local/a: full", "and 12 more nodes"),
        placement=PlacementExplained(
            nodes=(
                NodeExplained(node="local/a", refusals=("room_left: needs 1 GPUs, 0 free", "x: y")),
                NodeExplained(node="local/b"),
            ),
            share=("limit: none; project default holds 3",),
            gives_way=("replica v of job low (priority 40) on local/a drains",),
        ),
    )
    assert list(explanation_lines(found, NOW))[1:] == [
        "  gave way to job j",
        "  local/a: room_left: needs 1 GPUs, 0 free, x: y",
        "  local/b: can take one more",
        "  limit: none; project default holds 3",
        "  replica v of job low (priority 40) on local/a drains",
    ]


def test_a_bug_is_not_explained_away() -> None:
    assert explain(ValueError("a bug")) is None


def test_a_refusal_is_told_with_its_fields_what_to_do_and_the_id_of_the_request() -> None:
    error = Conflict(status=409, title="No", errors=(FieldProblem("name", "is taken"),), request_id="r-1")
    failure = explain(error)
    assert isinstance(failure, Failure)
    assert failure.lines[:2] == ("error: No", "  name: is taken")
    assert failure.lines[2].startswith("hint: ")
    assert failure.lines[3] == "request id: r-1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")],
)
def test_an_age_has_one_unit(seconds: int, text: str) -> None:
    assert job_text.age(NOW, NOW + timedelta(seconds=seconds)) == text


def test_columns_are_as_wide_as_they_need_and_never_cut() -> None:
    lines = list(columns(("A", "B"), [("x" * 200, "two\nlines"), ("", "y")]))
    assert lines == ["A" + " " * 201 + "B", "x" * 200 + "  two lines", "-" + " " * 201 + "y"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param((created(),), f"{MODEL} as demo, 1 to 3 on cpu.small", id="created"),
        pytest.param(
            (created(), JobPending(at(1), PhaseReason.NO_CAPACITY, "node-a: full")),
            "NoCapacity: node-a: full",
            id="pending",
        ),
        pytest.param(
            (created(), JobScaled(at(1), 1, 2, ("throughput 20 of 10",))),
            "1 -> 2 replicas: throughput 20 of 10",
            id="scaled",
        ),
        pytest.param(
            (created(), ReplicaScheduled(at(1), "0123456789ab", NODE, ("best",))),
            "456789ab on local/node-a: best",
            id="scheduled",
        ),
        pytest.param(
            (created(), scheduled(), ReplicaLoading(at(2), "r1", Progress(0.42, "weights"))),
            "r1 42% weights",
            id="loading",
        ),
        pytest.param((created(), scheduled(), ready()), "r1 serves; 1 of 1 ready", id="ready"),
        pytest.param(
            (created(), scheduled(), ReplicaFailed(at(2), "r1", ReplicaReason.CRASHED, "signal 9")),
            "r1 Crashed: signal 9",
            id="failed",
        ),
        pytest.param((created(), JobDeleteRequested(at(1), "key-1")), "by key-1", id="delete requested"),
    ],
)
def test_an_event_is_told_in_words(changes: tuple[Change, ...], text: str) -> None:
    assert job_text.event_text(event_of(*changes)) == text


def test_only_what_changed_is_told() -> None:
    waiting = job_after(created())
    placed = job_after(created(), scheduled())
    assert changed_lines(None, waiting) == ("demo Creating",)
    assert changed_lines(waiting, placed) == ("demo Initializing", "  replica r1 Scheduled")
    assert changed_lines(placed, placed) == ()


def test_progress_within_a_state_is_told_in_quarters() -> None:
    told: list[str] = []
    show = PlainProgress(told.append, lambda: NOW)
    for percent in range(0, 101, 5):
        show(
            job_after(created(), scheduled(), ReplicaLoading(at(2), "r1", Progress(percent / 100, "weights")))
        )
    assert [line.split("(")[1] for line in told[1:]] == [
        f"{quarter}% weights)" for quarter in (0, 25, 50, 75, 100)
    ]


def test_the_moving_table_shows_each_living_replica_with_its_bar() -> None:
    job = job_after(
        created(),
        scheduled("first"),
        scheduled("second"),
        ready("first"),
        ReplicaLoading(at(8), "second", Progress(0.5, "half of it")),
    )
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(rendered(job, at(10)))
    heading, first, second = captured.get().splitlines()
    assert heading.startswith("demo")
    assert "Ready" in first
    assert "Loading" in second
    assert "half of it" in second
    assert JOB_ID not in captured.get()
