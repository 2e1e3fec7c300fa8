"""The router reads a body as a runtime does, and what it changes in it is that and no other byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.bodies import body_naming, prefix_of, read_request, with_model
from hostler_router.openai_errors import Refused

NAMES = st.sampled_from(["model", "stream", "stream_options", "n", "messages", "\u00e4", 'a"b\\', "x", ""])
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8) | NAMES
SPACE = st.sampled_from([b"", b"", b" ", b"\n\t", b"\r\n  "])


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class Pairs(list):
    """An object, in which a name may come twice."""

    __slots__ = ()


NUMBERS = st.sampled_from(
    [Number(text) for text in ("0", "1", "12", "1.0", "-0", "1e400", "1E-9", "123456789012345678901")]
)
ATOMS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=3).map(Pairs),
    max_leaves=6,
)


OPTIONS = st.none() | st.lists(
    st.tuples(st.sampled_from(["include_usage", "include_obfuscation", "\u00e4"]), ATOMS),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(Pairs)


def spelled(draw: st.DrawFn, text: str) -> bytes:
    """A text as one of the ways to write it."""
    written = b""
    for character in text:
        plain = json.dumps(character, ensure_ascii=draw(st.booleans()))[1:-1]
        if ord(character) < 0x10000 and draw(st.integers(0, 5)) == 0:
            plain = f"\\u{ord(character):04x}"
        written += plain.encode()
    return b'"' + written + b'"'


def written(draw: st.DrawFn, value: object) -> bytes:
    if isinstance(value, Number):
        return value.encode()
    if isinstance(value, str):
        return spelled(draw, value)
    if isinstance(value, Pairs):
        return enclosed(draw, b"{", [member(draw, name, inner) for name, inner in value], b"}")
    if isinstance(value, list):
        return enclosed(draw, b"[", [written(draw, inner) for inner in value], b"]")
    return json.dumps(value).encode()


def member(draw: st.DrawFn, name: str, value: object) -> bytes:
    return spelled(draw, name) + draw(SPACE) + b":" + draw(SPACE) + written(draw, value)


def enclosed(draw: st.DrawFn, begin: bytes, parts: list[bytes], end: bytes) -> bytes:
    inner = b",".join(draw(SPACE) + part + draw(SPACE) for part in parts)
    return begin + (inner or draw(SPACE)) + end


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A request for a stream, written in any way, with anything else in it, each name at most once."""
    members = [("model", draw(st.text("ab/\u00e4\U0001f600", min_size=1, max_size=5))), ("stream", True)]
    if draw(st.booleans()):
        members.append(("stream_options", draw(OPTIONS)))
    others = draw(
        st.dictionaries(
            TEXTS.filter(lambda name: name not in ("model", "stream", "stream_options")), VALUES, max_size=4
        )
    )
    members = draw(st.permutations([*members, *others.items()]))
    return draw(SPACE) + written(draw, Pairs(members)) + draw(SPACE)


def read_exactly(body: bytes) -> object:
    """What a runtime reads, its numbers as they are written."""
    return json.loads(body, parse_float=Number, parse_int=Number)


def changes_one_stretch(before: bytes, after: bytes, longest: int) -> bool:
    """Whether `after` is `before` with at most `longest` new bytes in one place, and what stood there gone."""
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    tail = next((at for at in range(shorter - head) if before[-1 - at] != after[-1 - at]), shorter - head)
    return len(after) - head - tail <= longest


@given(bodies())
def test_asking_for_usage_changes_that_and_no_other_byte(body: bytes) -> None:
    before = read_exactly(body)
    assert isinstance(before, dict)
    asked = read_request(body, may_stream=True)
    wanted = {**(before.get("stream_options") or {}), "include_usage": True}
    assert read_exactly(asked.body) == {**before, "stream_options": wanted}
    assert asked.strip_usage is ((before.get("stream_options") or {}).get("include_usage") is not True)
    assert asked.strip_usage or asked.body == body
    assert changes_one_stretch(body, asked.body, len(b',"stream_options":{"include_usage":true}'))


@given(bodies(), st.text('xy\u00e4"', min_size=1, max_size=5), st.booleans())
def test_another_model_changes_that_and_no_other_byte(body: bytes, model: str, may_stream: bool) -> None:
    encoded = json.dumps(model, ensure_ascii=False).encode()
    before = read_exactly(body)
    assert isinstance(before, dict)
    assert read_exactly(with_model(body, model)) == {**before, "model": model}
    assert changes_one_stretch(body, with_model(body, model), len(encoded))
    asked = read_request(body, may_stream=may_stream)
    if "messages" in before:
        assert read_exactly(prefix_of(asked, 10_000)) == before["messages"]
    renamed = body_naming(asked, model)
    assert isinstance(asked.body, bytes)
    assert isinstance(renamed, bytes)
    assert read_exactly(renamed) == {**read_exactly(asked.body), "model": model}
    assert changes_one_stretch(asked.body, renamed, len(encoded))


@given(
    st.dictionaries(st.text('model%b"\\ \u00e4', max_size=6), st.text('%b\u00e4"', max_size=5), max_size=5),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
    st.sampled_from(["", "x" * 5000]),
)
def test_a_body_as_clients_write_it_keeps_everything_but_its_model(
    others: dict[str, str], separators: tuple[str, str], ascii_only: bool, prompt: str
) -> None:
    said = {**others, "model": "demo", "messages": prompt}
    body = json.dumps(said, separators=separators, ensure_ascii=ascii_only).encode()
    renamed = {**said, "model": "other"}
    asked = read_request(body, may_stream=False)
    assert (
        body_naming(asked, "other")
        == json.dumps(renamed, separators=separators, ensure_ascii=ascii_only).encode()
    )
    assert json.loads(prefix_of(asked, 10_000)) == prompt


@given(bodies(), st.text("xy\u00e4", min_size=1, max_size=5))
def test_the_model_of_the_head_changes_that_and_no_other_byte(body: bytes, meant: str) -> None:
    before = read_exactly(body)
    asked = read_request(body, may_stream=False, meant=meant)
    assert asked.model == meant
    assert isinstance(before, dict)
    assert read_exactly(asked.body) == {**before, "model": meant}


@st.composite
def with_twins(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A body in which names may come twice; and whether one does."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5).map(Pairs))
    names = [name for name, _ in pairs]
    return written(draw, pairs), len(set(names)) < len(names)


@given(with_twins())
def test_a_name_that_comes_twice_is_found_however_it_is_written(case: tuple[bytes, bool]) -> None:
    body, twice = case
    if twice:
        with pytest.raises(Refused, match="more than once"):
            read_request(body, may_stream=False, meant="m")
        return
    before = read_exactly(body)
    assert isinstance(before, dict)
    assert read_exactly(read_request(body, may_stream=False, meant="m").body) == {**before, "model": "m"}


@given(bodies(), st.data())
def test_what_is_cut_off_anywhere_is_refused(body: bytes, data: st.DataObject) -> None:
    whole = body.rstrip()
    with pytest.raises(Refused):
        read_request(whole[: data.draw(st.integers(0, len(whole) - 1))], may_stream=True)


@given(bodies(), st.data())
def test_what_is_no_json_to_a_runtime_is_refused(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    broken = body[:at] + data.draw(st.binary(min_size=1, max_size=2)) + body[at + 1 :]
    try:
        json.loads(broken.decode())
    except ValueError:
        with pytest.raises(Refused):
            read_request(broken, may_stream=True)
