"""The supervisor's pure parts: delays, options, turns of ending, states."""

from pathlib import Path

import pytest

from hostler_cli.supervisor.backoff import next_failures, restart_delay_seconds
from hostler_cli.supervisor.layout import DataLayout, valkey_socket
from hostler_cli.supervisor.leftovers import Stray, next_to_end
from hostler_cli.supervisor.options import BadOption, UpOptions, check_ports, check_sync, parse_scale
from hostler_cli.supervisor.state_file import TRANSITIONS, ProcessState, transition


def test_delays_double_from_a_fifth_of_a_second_to_ten_seconds() -> None:
    delays = [restart_delay_seconds(failures) for failures in range(1, 9)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert restart_delay_seconds(100_000) == 10.0


@pytest.mark.parametrize(
    ("failures", "uptime_seconds", "served_seconds", "expected"),
    [
        pytest.param(0, 0.5, 0.0, 1, id="first quick end"),
        pytest.param(3, 9.9, 1.9, 4, id="another quick end"),
        pytest.param(3, 10.0, 0.0, 1, id="after a steady time the count starts anew"),
        pytest.param(3, 2.5, 2.0, 1, id="what had served was ended from outside"),
    ],
)
def test_only_quick_ends_in_a_row_count(
    failures: int, uptime_seconds: float, served_seconds: float, expected: int
) -> None:
    counted = next_failures(failures, uptime_seconds=uptime_seconds, served_seconds=served_seconds)
    assert expected == counted


def test_scale_counts_instances_and_the_later_wish_wins() -> None:
    scale = parse_scale(["router=2", "api=3", "router=4"])
    options = UpOptions(Path("/data"), scale=scale)
    assert [options.instances(service) for service in ("router", "api", "scheduler")] == [4, 3, 1]


@pytest.mark.parametrize(
    "wish",
    [
        "router",
        "router=",
        "router=two",
        "router=0",
        "router=17",
        "router=-1",
        "nats=2",
        "provisioner=2",
        "=2",
    ],
)
def test_a_senseless_scale_is_refused_with_its_own_words(wish: str) -> None:
    with pytest.raises(BadOption, match=f"--scale {wish}"):
        parse_scale([wish])


@pytest.mark.parametrize("wish", ["always", "500ms", "10s", "2m", "1h"])
def test_nats_syncs_as_asked(wish: str) -> None:
    assert wish == check_sync(wish)


@pytest.mark.parametrize("wish", ["", "never", "2", "0s", "-1s", "2 m", "1.5m", "always }"])
def test_a_senseless_sync_is_refused(wish: str) -> None:
    with pytest.raises(BadOption, match="--sync"):
        check_sync(wish)


@pytest.mark.parametrize(
    ("api_port", "router_port", "message"),
    [
        pytest.param(8080, 8080, "the router has the same port", id="same"),
        pytest.param(70_000, 8000, "--api-port 70000", id="api too high"),
        pytest.param(8080, -1, "--router-port -1", id="router negative"),
    ],
)
def test_ports_that_cannot_work_are_refused(api_port: int, router_port: int, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        check_ports(api_port, router_port)


def test_both_ports_may_be_left_to_the_supervisor() -> None:
    check_ports(0, 0)


def test_options_survive_the_way_to_the_background_process() -> None:
    options = UpOptions(Path("/data dir"), 1, 2, (("api", 2), ("router", 3)), 4.5)
    assert options == UpOptions.from_json(options.to_json())


@pytest.mark.parametrize(
    ("strays", "expected"),
    [
        pytest.param([], (), id="none"),
        pytest.param([Stray(5, 1, 3), Stray(6, 1, 0), Stray(7, 1, 2)], (6,), id="lowest stage first"),
        pytest.param([Stray(6, 1, 1), Stray(5, 1, 1)], (5, 6), id="a whole stage at once"),
        pytest.param([Stray(9, 8, 2), Stray(8, 1, 2)], (8,), id="a parent before its children"),
        pytest.param([Stray(9, 8, 1), Stray(8, 1, 2)], (9,), id="the stage counts more than the family"),
    ],
)
def test_leftovers_end_in_the_turns_of_an_orderly_stop(
    strays: list[Stray], expected: tuple[int, ...]
) -> None:
    assert expected == next_to_end(strays)


@pytest.mark.parametrize("before", ProcessState)
@pytest.mark.parametrize("after", ProcessState)
def test_a_process_changes_state_by_the_table_alone(before: ProcessState, after: ProcessState) -> None:
    if after in TRANSITIONS[before]:
        assert after == transition(before, after)
    else:
        with pytest.raises(ValueError, match="no way from"):
            transition(before, after)


def test_nothing_comes_after_exited() -> None:
    assert not TRANSITIONS[ProcessState.EXITED]


def test_two_folders_never_share_an_instance_prefix() -> None:
    prefixes = {DataLayout(Path(folder)).instance_prefix for folder in ("/a", "/a/b", "/b")}
    assert len(prefixes) == 3
    assert all(prefix.endswith(".") for prefix in prefixes)


@pytest.mark.parametrize(
    ("data_dir", "expected_folder"),
    [
        pytest.param("/data", "/data/run", id="short: beside the data"),
        pytest.param("/" + "d" * 100, "/tmp/hostler-7-", id="long: in the temporary folder"),
        pytest.param("/" + "é" * 45, "/tmp/hostler-7-", id="bytes count, not letters"),
    ],
)
def test_the_socket_path_stays_short_enough(data_dir: str, expected_folder: str) -> None:
    path = valkey_socket(DataLayout(Path(data_dir)), temporary_dir=Path("/tmp"), user_id=7)
    assert str(path).startswith(expected_folder)
    assert len(bytes(path)) <= 100
