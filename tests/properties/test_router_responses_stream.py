"""A stream of responses may be cut anywhere on its way; what comes out, and how it is taken, must not depend on where."""

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.responses_stream import ResponsesStream

KINDS = st.sampled_from(["response.created", "response.output_text.delta", "response.output_item.done"])
ENDS = st.sampled_from(["response.completed", "response.incomplete", "response.failed"])
TEXTS = st.text(max_size=8) | ENDS.map(lambda kind: f'{{"type":"{kind}"}}') | st.just('"error"')
CUTS = st.lists(st.integers(0, 1000), max_size=20)
USAGE = {"input_tokens": 5, "output_tokens": 3}


def named(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def passed(data: bytes, cuts: list[int]) -> tuple[bytes, bool, bool, ResponsesStream]:
    """What comes out, and whether it was complete or broken."""
    stream, out = ResponsesStream(event_bytes_max=10_000), b""
    places = sorted({min(place, len(data)) for place in cuts} | {0, len(data)})
    for begin, end in itertools.pairwise(places):
        piece = stream.feed(data[begin:end])
        out += piece.out
        if piece.done or piece.error:
            return out, piece.done, piece.error is not None, stream
    piece = stream.close()
    return out + piece.out, piece.done, piece.error is not None, stream


@given(st.lists(st.tuples(KINDS, TEXTS), max_size=5), ENDS, st.binary(max_size=20), CUTS)
def test_it_ends_well_with_its_last_event_and_what_follows_is_dropped(
    events: list[tuple[str, str]], end: str, junk: bytes, cuts: list[int]
) -> None:
    said = b"".join(named(kind, delta=text) for kind, text in events)
    last = named(end, response={"usage": USAGE})
    out, done, broken, stream = passed(said + last + junk, cuts)
    assert (out, done, broken) == (said + last, True, False)
    assert stream.usage is not None
    assert (stream.usage.prompt_tokens, stream.usage.completion_tokens) == (5, 3)
    assert stream.passed == len(events) + 1


@given(st.lists(st.tuples(KINDS, TEXTS), max_size=5), CUTS, st.booleans())
def test_without_its_last_event_it_is_broken(
    events: list[tuple[str, str]], cuts: list[int], marked: bool
) -> None:
    said = b"".join(named(kind, delta=text) for kind, text in events)
    out, done, broken, stream = passed(said + (b"data: [DONE]\n\n" if marked else b""), cuts)
    assert (out, done, broken) == (said, False, True)
    assert stream.passed == len(events)
