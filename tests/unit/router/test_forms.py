"""Forms are read the same however they are cut into pieces, and what is kept says what was read."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.bodies import read_form, with_model
from hostler_router.forms import FormReader
from hostler_router.openai_errors import Refused
from hostler_router.upload_spool import FormBody, Passage, UploadSpool

TYPE = "multipart/form-data; boundary=cut"
AUDIO = b"RIFF\r\n--cu\r\n--\r\ncut--\0\xff" * 5


def part(name: str, content: bytes, more: str = "") -> bytes:
    return (
        b"--cut\r\n"
        + f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


FILE = part("file", AUDIO, '; filename="a\\"b.wav"')
END = b"--cut--\r\n"
WHOLE = FILE + part("model", b"alice/hearing") + part("prompt", b"model") + part("stream", b"true") + END


SPOOLS: list[UploadSpool] = []


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    for each in SPOOLS:
        each.close()


def spool_of(memory_bytes: int) -> UploadSpool:
    SPOOLS.append(UploadSpool(memory_bytes=memory_bytes))
    return SPOOLS[-1]


def read(*pieces: bytes, content_type: str = TYPE) -> FormBody:
    reader = FormReader(content_type)
    spool = spool_of(2**20)
    for piece in pieces:
        spool.write(reader.feed(piece))
    reader.close()
    spool.whole = True
    asked = read_form(reader.values, FormBody(spool, reader.content_type, reader.delimiter))
    assert asked.model == "alice/hearing"
    assert isinstance(asked.body, FormBody)
    return asked.body


def sent(body: FormBody) -> bytes:
    passage = Passage(body)
    content = b""
    while not passage.done:
        content += passage.take()
    assert passage.take() == b""
    assert len(content) == body.length
    return content


def unchunked(data: bytes) -> bytes:
    """What a server makes of a body in chunks."""
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        content, end, data = content + data[:length], data[length : length + 2], data[length + 2 :]
        assert end == b"\r\n"
        if not length:
            assert data == b""
            return content
    raise AssertionError("the body has no end")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_a_form_is_read_alike_however_it_is_cut(cuts):
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[begin:end] for begin, end in pairwise(places)]

    assert sent(read(*pieces)) == sent(read(WHOLE))


def test_what_is_sent_is_the_model_and_then_the_form_in_its_order_with_the_router_s_own_heads():
    kept = sent(read(WHOLE))

    assert kept.count(AUDIO) == 1
    assert b'content-disposition: form-data; name="file"; filename="a%22b.wav"\r\n\r\nRIFF' in kept
    assert kept.index(b'name="model"') < kept.index(b'name="file"') < kept.index(b'name="stream"')
    assert kept.startswith(
        b'--cut\r\ncontent-disposition: form-data; name="model"\r\n\r\nalice/hearing\r\n--cut'
    )
    assert kept.endswith(END)


def test_another_name_for_the_model_replaces_that_field_and_nothing_else():
    body = read(WHOLE)
    changed = with_model(body, "their-name")
    assert isinstance(changed, FormBody)

    assert sent(changed) == sent(body).replace(b"alice/hearing", b"their-name")
    assert sent(body).count(b"alice/hearing") == 1


@given(
    st.lists(st.integers(0, len(WHOLE)), max_size=8), st.integers(0, 8), st.lists(st.booleans(), min_size=9)
)
def test_a_form_that_is_sent_while_it_arrives_is_the_same_in_chunks(cuts, begun_after, taken_after):
    reader = FormReader(TYPE)
    spool = spool_of(100)
    body = FormBody(spool, reader.content_type, reader.delimiter, "alice/hearing")
    assert body.length is None
    places = [0, *sorted(cuts), len(WHOLE)]
    passage = None
    chunks = b""
    for number, (begin, end) in enumerate(pairwise(places)):
        if passage is None and number >= begun_after:
            passage = Passage(body)
        spool.write(reader.feed(WHOLE[begin:end]))
        if passage is not None and taken_after[number]:
            while piece := passage.take():
                chunks += piece
            assert not passage.done
    passage = passage or Passage(body)
    spool.whole = True
    while not passage.done:
        chunks += passage.take()

    assert unchunked(chunks) == sent(read(WHOLE)) == sent(body)
    spool.close()


def test_what_a_form_asks_for_is_known_while_its_file_arrives():
    reader = FormReader(TYPE)
    head = part("model", b"m") + FILE[:60]
    reader.feed(head[: head.index(b"m\r\n") + 1])
    assert (reader.model_known, reader.file_begun) == (False, False)
    reader.feed(head[head.index(b"m\r\n") + 1 :])
    assert (reader.model_known, reader.file_begun) == (True, False)
    reader.feed(FILE[60:])
    assert (reader.model_known, reader.file_begun) == (True, True)
    assert reader.values == {b"model": b"m"}


def test_a_form_can_be_sent_again():
    body = read(WHOLE)
    assert sent(body) == sent(body)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (FILE + part("model", b"m")[:-6], "invalid_form"),
        (FILE + part("model", b"m"), "invalid_form"),
        (b"{}", "invalid_form"),
        (FILE + part("model", b"m") + part("model", b"n") + END, "invalid_form"),
        (FILE + END, "missing_required_parameter"),
        (part("model", b"") + END, "invalid_value"),
        (part("model", b"m" * 3000) + END, "invalid_value"),
        (part("model", b"\xff") + END, "invalid_form"),
        (part("x", b"") * 65 + END, "invalid_form"),
        (b'--cut\r\nContent-Disposition: form-data; filename="model"\r\n\r\nm\r\n' + END, "invalid_form"),
        (b"--cut\r\nContent-Type: text/plain\r\n\r\nm\r\n" + END, "invalid_form"),
        (b"--cut\r\n" + b"A: b\r\n" * 1000 + b"\r\nm\r\n" + END, "invalid_form"),
    ],
    ids=[
        "cut-off",
        "without-end",
        "json",
        "two-models",
        "no-model",
        "empty-model",
        "long-model",
        "not-utf-8",
        "many-parts",
        "no-name",
        "no-disposition",
        "many-headers",
    ],
)
def test_what_is_no_good_form_is_refused(content, code):
    with pytest.raises(Refused) as refused:
        read(content)

    assert (refused.value.reply.status, refused.value.reply.code) == (400, code)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=cut"]
)
def test_another_content_type_is_refused(content_type):
    with pytest.raises(Refused) as refused:
        FormReader(content_type)

    assert refused.value.reply.code == "invalid_content_type"
