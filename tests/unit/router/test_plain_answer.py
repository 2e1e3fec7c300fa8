"""What is made of an answer that is no stream."""

import pytest

from hostler_router.answer_usage import Usage
from hostler_router.openai_errors import ErrorReply
from hostler_router.outliers import Failure
from hostler_router.plain_answer import PlainAnswer, Unfit

USAGE = b'{"usage":{"prompt_tokens":3,"completion_tokens":4}}'


def answer(status: int = 200, content_type: bytes = b"application/json", **headers: bytes) -> PlainAnswer:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return PlainAnswer(status, content_type, named, bytes_max=100)


def test_it_is_held_back_until_it_is_whole() -> None:
    plain = answer()
    assert (plain.feed(USAGE[:9]), plain.feed(USAGE[9:])) == (b"", b"")
    assert plain.close() == USAGE
    assert plain.usage == Usage(3, 4)


def test_one_that_is_too_large_passes_from_then_on() -> None:
    plain = answer()
    assert [plain.feed(b"a" * 60), plain.feed(b"b" * 60), plain.feed(b"c")] == [
        b"",
        b"a" * 60 + b"b" * 60,
        b"c",
    ]
    assert plain.large


def test_of_an_error_enough_is_enough() -> None:
    plain = answer(400)
    assert plain.feed(b"x" * 65_536) == b""
    assert plain.feed(b"x") is None
    assert not plain.large


@pytest.mark.parametrize("status", [502, 503])
def test_one_that_says_that_it_cannot_is_no_clients_to_know(status: int) -> None:
    told = answer(status).close()
    assert isinstance(told, Unfit)
    assert told.failure is Failure.ERROR


def test_an_error_of_its_own_is_the_clients_with_how_long_to_wait() -> None:
    plain = answer(429, retry_after=b"7")
    plain.feed(b'{"error":{"message":"slow down"}}')
    told = plain.close()
    assert isinstance(told, ErrorReply)
    assert told.status == 429
    assert (b"retry-after", b"7") in told.all_headers()


def test_json_that_was_cut_off_is_unfit() -> None:
    plain = answer()
    plain.feed(USAGE[:-4])
    told = plain.close()
    assert isinstance(told, Unfit)
    assert told.failure is Failure.BROKEN


def test_the_whole_seconds_of_audio_are_usage_where_there_is_no_other() -> None:
    plain = answer(content_type=b"text/plain", x_audio_seconds=b"2.5")
    plain.feed(b"words")
    assert plain.close() == b"words"
    assert plain.usage == Usage(0, 0, audio_seconds=3)
