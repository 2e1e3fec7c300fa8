"""Forms are read the same however they are cut into pieces, and what is kept says what was read."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.bodies import read_form, with_model
from hostler_router.forms import FormBody, FormReader
from hostler_router.openai_errors import Refused

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


def read(*pieces: bytes, content_type: str = TYPE) -> FormBody:
    reader = FormReader(content_type)
    file = io.BytesIO()
    size = sum(file.write(reader.feed(piece)) for piece in pieces)
    reader.close()
    body = FormBody(file, size, reader.content_type, reader.model_at or (0, 0))
    asked = read_form(reader.values, body)
    assert asked.model == "alice/hearing"
    return body


def sent(body: FormBody) -> bytes:
    content = b"".join(body.pieces())
    assert len(content) == body.length
    return content


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_a_form_is_read_alike_however_it_is_cut(cuts):
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[begin:end] for begin, end in pairwise(places)]

    assert sent(read(*pieces)) == sent(read(WHOLE))


def test_what_is_kept_is_the_form_in_its_order_with_the_router_s_own_heads():
    kept = sent(read(WHOLE))

    assert kept.count(AUDIO) == 1
    assert b'content-disposition: form-data; name="file"; filename="a%22b.wav"\r\n\r\nRIFF' in kept
    assert kept.index(b'name="file"') < kept.index(b'name="model"') < kept.index(b'name="stream"')
    assert kept.endswith(END)


def test_another_name_for_the_model_replaces_that_field_and_nothing_else():
    body = read(WHOLE)
    changed = with_model(body, "their-name")
    assert isinstance(changed, FormBody)

    assert sent(changed) == sent(body).replace(b"alice/hearing", b"their-name")
    assert sent(body).count(b"alice/hearing") == 1


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
