"""Files that tell or keep something: state, locks, secrets, logs."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.lock import AlreadyRunning, hold, holder_pid
from hostler_cli.supervisor.log_files import rotate, tail
from hostler_cli.supervisor.options import SERVICES
from hostler_cli.supervisor.secret_files import make_folders, make_secrets, write_private
from hostler_cli.supervisor.state_file import (
    ProcessRecord,
    ProcessState,
    StackState,
    create_time_of,
    is_alive,
    read_state,
    verified,
    write_state,
)

OWN_PID = os.getpid()


def record(name: str = "api-1", state: ProcessState = ProcessState.READY) -> ProcessRecord:
    return ProcessRecord(name, OWN_PID, create_time_of(OWN_PID), state, 0, None, "/data/logs/it.log")


def stack_state(*processes: ProcessRecord) -> StackState:
    return StackState(
        OWN_PID, 1.0, "folder.run", "/data", "http://a", "http://r", "nats://n", "unix://v", "/data/admin.key",
        ready=True, processes=processes,
    )  # fmt: skip


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = stack_state(record(), record("router-1", ProcessState.BACKOFF))
    write_state(tmp_path / "state", state)
    assert state == read_state(tmp_path / "state")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"processes": []}', '{"processes": [{"state": "odd"}]}']
)
def test_a_state_that_nobody_understands_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "state").write_text(text)
    assert read_state(tmp_path / "state") is None


def test_a_dead_supervisor_makes_everything_exited() -> None:
    state = verified(stack_state(record()), supervisor_lives=False)
    assert (
        state.ready,
        state.processes[0].state,
        state.processes[0].pid,
    ) == (False, ProcessState.EXITED, None)


def test_a_pid_that_came_round_again_is_exited() -> None:
    impostor = replace(record(), create_time=12.0)
    state = verified(stack_state(record("nats"), impostor), supervisor_lives=True)
    assert [process.state for process in state.processes] == [ProcessState.READY, ProcessState.EXITED]
    assert state.ready is False


def test_a_living_stack_stays_as_told() -> None:
    state = stack_state(record())
    assert state == verified(state, supervisor_lives=True)


def test_this_process_is_alive_and_a_later_one_of_its_pid_is_another() -> None:
    assert is_alive(OWN_PID, create_time_of(OWN_PID))
    assert not is_alive(OWN_PID, 12.0)


def test_one_lock_per_folder_and_it_names_its_holder(tmp_path: Path) -> None:
    lock_file = tmp_path / "lock"
    assert holder_pid(lock_file) is None
    with hold(lock_file):
        assert holder_pid(lock_file) == OWN_PID
        with pytest.raises(AlreadyRunning, match=f"pid {OWN_PID}"), hold(lock_file):
            pytest.fail("two supervisors on one folder")
    assert holder_pid(lock_file) is None
    with hold(lock_file):
        pass


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path / "data")
    make_folders(layout)
    first = make_secrets(layout)
    files = (layout.admin_key_file, layout.secret_key_file, layout.nats_password_file)
    before = [file.read_text() for file in files]
    layout.admin_key_file.chmod(0o644)
    second = make_secrets(layout)
    assert first["operator"] == second["operator"]
    assert not {first[service] for service in SERVICES} & {second[service] for service in SERVICES}
    assert len(set(first.values())) == 1 + len(SERVICES)
    assert before == [file.read_text() for file in files]
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}
    assert stat.S_IMODE(layout.data_dir.stat().st_mode) == 0o700


def test_a_private_file_replaces_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert [path] == list(tmp_path.iterdir())


def test_the_tail_of_a_log_ends_with_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_text("one\ntwo\nthree\nfour\n")
    assert tail(log, 2) == ["three", "four"]
    assert tail(log, 10, since=len("one\ntwo\n")) == ["three", "four"]


def test_only_a_grown_log_is_set_aside(tmp_path: Path) -> None:
    small, large = tmp_path / "small.log", tmp_path / "large.log"
    small.write_text("x")
    with large.open("wb") as file:
        file.truncate(10_000_001)
    rotate(small)
    rotate(large)
    rotate(tmp_path / "missing.log")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.log.1", "small.log"]
