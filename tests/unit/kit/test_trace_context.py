import pytest

from hostler_kit.trace_context import TraceParent, parse_traceparent, render_traceparent

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
