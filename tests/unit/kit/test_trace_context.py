import pytest

from hostler_kit.trace_context import (
    TraceParent,
    parse_traceparent,
    read_trace,
    read_tracestate,
    render_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f" 00-{TRACE}-{SPAN}-01 ", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),
    ],
)
def test_a_caller_is_read(header: str, sampled: bool) -> None:
    assert parse_traceparent(header.encode()) == TraceParent(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE[:-2]}+1-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        "\xff" * 55,
    ],
)
def test_what_is_malformed_counts_as_absent(header: str) -> None:
    assert parse_traceparent(header.encode("latin-1")) is None


def test_what_is_written_can_be_read() -> None:
    assert parse_traceparent(render_traceparent(7, 9)) == TraceParent(7, 9, True)


@pytest.mark.parametrize(
    "header",
    [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "rojo=1 , congo=2",
        "tenant@vendor=a value with spaces",
        "a=1,,b=2",
        ",".join(f"k{number}={'v' * 12}" for number in range(30)),
    ],
    ids=["two", "spaces", "tenant", "an empty member", "511 bytes"],
)
def test_a_tracestate_is_passed_on_unchanged(header: str) -> None:
    assert len(header) <= 512
    assert read_tracestate(f" {header}\t".encode()) == header.encode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "rojo",
        "rojo=",
        "=1",
        "Rojo=1",
        "rojo=1,rojo=2",
        "rojo=a=b",
        "rojo=\u00e9",
        "rojo=1;congo=\x00",
        f"{'k' * 257}=1",
        f"k={'v' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
    ],
)
def test_a_tracestate_that_is_none_counts_as_absent(header: str) -> None:
    assert read_tracestate(header.encode("latin-1")) == b""


def test_of_a_tracestate_that_is_too_long_long_members_go_first_and_then_the_last() -> None:
    short = [f"k{number}={'v' * 30}" for number in range(20)]
    long = f"long={'v' * 200}"
    kept = read_tracestate(",".join([long, *short]).encode()).decode().split(",")
    assert kept == short[: len(kept)]
    assert 512 - len(short[0]) - 1 < len(",".join(kept)) <= 512
    few = [short[0], long, f"other={'v' * 120}", short[1], f"third={'v' * 250}"]
    assert read_tracestate(",".join(few).encode()).decode().split(",") == [few[0], few[2], few[3]]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"tracestate": "rojo=1"}, None),
        ({"traceparent": "nonsense", "tracestate": "rojo=1"}, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, (f"00-{TRACE}-{SPAN}-00", None)),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-x", "tracestate": "a=1"}, (f"00-{TRACE}-{SPAN}-01", "a=1")),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "nonsense"}, (f"00-{TRACE}-{SPAN}-01", None)),
        (
            {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": f"a=hsk_{'k' * 40}"},
            (f"00-{TRACE}-{SPAN}-01", None),
        ),
    ],
    ids=["none", "a state of nothing", "malformed", "no state", "a later version", "a bad state", "a key"],
)
def test_a_request_is_part_of_the_trace_that_its_headers_say(
    headers: dict[str, str], found: tuple[str, str | None] | None
) -> None:
    assert read_trace({name.encode(): value.encode() for name, value in headers.items()}) == found
