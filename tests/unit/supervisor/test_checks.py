import pytest

from hostler_cli.supervisor.checks import (
    NATS_SERVER_MIN,
    VALKEY_MIN,
    Verdict,
    check_cpu,
    check_disk,
    check_memory,
    check_python,
    check_version,
)


@pytest.mark.parametrize(
    ("text", "least", "verdict"),
    [
        pytest.param("nats-server: v2.14.3", NATS_SERVER_MIN, Verdict.OK, id="just new enough"),
        pytest.param("nats-server: v2.15.1", NATS_SERVER_MIN, Verdict.OK, id="newer"),
        pytest.param("nats-server: v2.14.2", NATS_SERVER_MIN, Verdict.FAIL, id="just too old"),
        pytest.param(
            "nats-server: v2.9.10", NATS_SERVER_MIN, Verdict.FAIL, id="numbers, not letters, are compared"
        ),
        pytest.param(
            "Valkey server v=9.1.2 sha=0 bits=64", VALKEY_MIN, Verdict.OK, id="valkey's way to say it"
        ),
        pytest.param("Redis server v=7.0.15 sha=0", VALKEY_MIN, Verdict.FAIL, id="an old redis"),
        pytest.param("whatever", VALKEY_MIN, Verdict.WARN, id="not understood"),
    ],
)
def test_a_version_is_judged_by_its_numbers(text: str, least: tuple[int, ...], verdict: Verdict) -> None:
    check = check_version("it", text, least)
    assert verdict is check.verdict
    assert bool(check.remedy) is (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("system", "machine", "flags", "verdict"),
    [
        pytest.param("Linux", "x86_64", {"avx2"}, Verdict.OK, id="modern"),
        pytest.param("Linux", "x86_64", {"avx"}, Verdict.FAIL, id="too old"),
        pytest.param("Linux", "aarch64", set(), Verdict.OK, id="arm has no such flag"),
        pytest.param("Darwin", "x86_64", set(), Verdict.OK, id="mac tells no flags"),
    ],
)
def test_avx2_is_asked_for_only_where_it_matters(
    system: str, machine: str, flags: set[str], verdict: Verdict
) -> None:
    assert verdict is check_cpu(system, machine, frozenset(flags)).verdict


@pytest.mark.parametrize(
    ("free_bytes", "verdict"),
    [(100_000_000, Verdict.FAIL), (1_000_000_000, Verdict.WARN), (50_000_000_000, Verdict.OK)],
)
def test_a_disk_is_full_before_nats_finds_out(free_bytes: int, verdict: Verdict) -> None:
    assert verdict is check_disk(free_bytes).verdict


def test_little_memory_is_a_warning_only() -> None:
    assert check_memory(100_000_000).verdict is Verdict.WARN
    assert check_memory(8_000_000_000).verdict is Verdict.OK


def test_python_is_new_enough_or_not() -> None:
    assert check_python((3, 11, 0)).verdict is Verdict.OK
    assert check_python((3, 10, 14)).verdict is Verdict.FAIL
