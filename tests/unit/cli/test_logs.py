"""`hostler logs` as it is typed, against a real server that answers as the api does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler_cli import logs
from hostler_cli.exit_codes import ExitCode
from hostler_domain.changes import ReplicaFailed
from hostler_domain.replica_states import ReplicaReason
from tests.support.builders import at, created, ready, scheduled
from tests.unit.cli.test_commands import Shell
from tests.unit.client.fake_api import KEY, FakeApi, problem


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def shell(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.0)
    with api.served() as url:
        yield Shell(
            {
                "HOSTLER_API_URL": url,
                "HOSTLER_API_KEY": KEY,
                "HOSTLER_ROUTER_URL": None,
                "HOSTLER_DATA_DIR": str(tmp_path),
            }
        )


def test_the_last_lines_of_the_replica_that_lives(shell: Shell, api: FakeApi) -> None:
    api.add(
        created(),
        scheduled("r1"),
        ReplicaFailed(at(3), "r1", ReplicaReason.CRASHED, ""),
        scheduled("r2"),
        ready("r2"),
    )
    api.logs = {"r1": ["old\n"], "r2": ["one\ntwo\nthree\n"]}
    assert shell("logs", "demo", "--tail", "2").stdout == "two\nthree\n"


def test_of_a_job_without_living_replicas_the_last_one_that_ended(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled("r1"), ReplicaFailed(at(3), "r1", ReplicaReason.CRASHED, ""))
    api.logs = {"r1": ["last words\n"]}
    assert shell("logs", "demo").stdout == "last words\n"


def test_lines_of_several_replicas_are_told_apart(shell: Shell, api: FakeApi) -> None:
    api.add(created(maximum=2), scheduled("r1"), ready("r1"), scheduled("r2"), ready("r2"))
    api.logs = {"r1": ["one\n"], "r2": ["two\n"]}
    assert shell("logs", "demo").stdout == "r1 | one\nr2 | two\n"
    assert shell("logs", "demo", "--replica", "2").stdout == "two\n"


def test_what_is_written_is_followed_to_the_end_and_over_a_pause(shell: Shell, api: FakeApi) -> None:
    api.add(created(), scheduled("r1"), ready("r1"))
    away = problem(503, "It can't be done right now", headers={"retry-after": "0"})

    class Looks(list[str]):
        """Whoever has looked twice finds nobody there for a while."""

        def pop(self, index: int = -1) -> str:  # type: ignore[override]  # called with a plain number
            if len(self) == 3:
                api.refusals += [away] * 4
            return super().pop(index)

    api.logs = {"r1": Looks(["one\n", "one\ntwo\n", "one\ntwo\n", "one\ntwo\nthree\n"])}
    done = shell("logs", "demo", "--replica", "r1", "-f")
    assert (done.exit_code, done.stdout) == (0, "one\ntwo\nthree\n")
    assert "waiting: 503" in done.stderr


@pytest.mark.parametrize(
    ("wanted", "code"), [("r9", ExitCode.NOT_FOUND), ("r", ExitCode.NOT_FOUND), ("", ExitCode.USAGE)]
)
def test_a_replica_that_is_not_one_of_the_job_is_refused(
    shell: Shell, api: FakeApi, wanted: str, code: ExitCode
) -> None:
    api.add(created(maximum=2), scheduled("r1"), scheduled("r2"))
    assert shell("logs", "demo", "--replica", wanted).exit_code == code


def test_a_job_that_was_never_placed_has_none(shell: Shell, api: FakeApi) -> None:
    api.add(created())
    done = shell("logs", "demo")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "has no replica yet" in done.stderr
