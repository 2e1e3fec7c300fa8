"""The header `traceparent` of W3C Trace Context, level 1: read and written as bytes.

Services read it from a caller, and write it for whom they call in turn. What is malformed counts as absent, as the standard asks.
"""

from dataclasses import dataclass

_HEX = frozenset(b"0123456789abcdef")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class TraceParent:
    """Who called.

    Attributes:
        trace_id: Of the whole trace, 128 bits.
        span_id: Of the caller's part of it, 64 bits.
        sampled: The caller keeps its part.
    """

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(header: bytes) -> TraceParent | None:
    """The caller, or None where the header says nothing that can be used."""
    parts = header.strip().split(b"-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    if not all(_HEX.issuperset(part) for part in parts[:4]):
        return None
    version = parts[0]
    # Later versions may have more parts; the first, which is what we know, has none.
    if version == b"ff" or (version == b"00" and len(parts) > 4):
        return None
    trace_id, span_id = int(parts[1], 16), int(parts[2], 16)
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, bool(int(parts[3], 16) & _SAMPLED))


def render_traceparent(trace_id: int, span_id: int) -> bytes:
    """The header for whom we call, of a trace that is kept."""
    return b"00-%032x-%016x-01" % (trace_id, span_id)
