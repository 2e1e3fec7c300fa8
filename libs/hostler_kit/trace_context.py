"""The headers `traceparent` and `tracestate` of W3C Trace Context: read and written as bytes.

Services read them from a caller, and write them for whom they call in turn. What is malformed counts as absent, as the standard asks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hostler_domain.redaction import redact

_HEX = frozenset(b"0123456789abcdef")
_SAMPLED = 0x01
_STATE_BYTES_MAX: Final = 512
"""So much of a `tracestate` has to be passed on."""
_MEMBER_BYTES_MAX: Final = 128
"""Longer members go first where there is more."""
_MEMBERS_MAX: Final = 32
_MEMBER: Final = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


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


def read_tracestate(header: bytes) -> bytes:
    """What vendors say of a trace, as it is passed on: unchanged where it is valid and short enough; empty where it is neither.

    Of more than is to be passed on long members go first and then the last ones, since the newest stand at the beginning.
    """
    members = [member for each in header.split(b",") if (member := each.strip(b" \t"))]
    keys = {member.partition(b"=")[0] for member in members}
    if len(members) > _MEMBERS_MAX or len(keys) < len(members):
        return b""
    if not all(_MEMBER.fullmatch(member) for member in members):
        return b""
    if len(header) <= _STATE_BYTES_MAX:
        return header.strip(b" \t") if members else b""
    if len(b",".join(members)) > _STATE_BYTES_MAX:
        members = [member for member in members if len(member) <= _MEMBER_BYTES_MAX]
    while len(b",".join(members)) > _STATE_BYTES_MAX:
        members.pop()
    return b",".join(members)


def read_trace(headers: Mapping[bytes, bytes]) -> tuple[str, str | None] | None:
    """The trace that a request is a part of, as events carry it: `traceparent` and `tracestate`. None where there is none.

    Args:
        headers: Names in lower case.
    """
    header = headers.get(b"traceparent")
    caller = None if header is None else parse_traceparent(header)
    if caller is None:
        return None
    parent = f"00-{caller.trace_id:032x}-{caller.span_id:016x}-{int(caller.sampled):02x}"
    state = read_tracestate(headers.get(b"tracestate", b"")).decode("ascii")
    # It may end up in events, so it must hold no key that its sender mistook for something else.
    return parent, state if state and redact(state) == state else None


def render_traceparent(trace_id: int, span_id: int) -> bytes:
    """The header for whom we call, of a trace that is kept."""
    return b"00-%032x-%016x-01" % (trace_id, span_id)
