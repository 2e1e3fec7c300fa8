import pytest

from hostler_bus.errors import BusError, BusUnavailable, StreamFull
from hostler_bus.nats_appends import outcome_of
from hostler_bus.port import Appended


@pytest.mark.parametrize(
    ("answer", "appended"),
    [
        (b'{"stream":"USAGE","seq":7}', Appended(7, duplicate=False)),
        (b'{"stream":"USAGE","seq":7,"duplicate":true,"domain":"x"}', Appended(7, duplicate=True)),
    ],
)
def test_what_is_stored_has_its_sequence(answer: bytes, appended: Appended) -> None:
    assert outcome_of(answer, "append to USAGE") == appended


@pytest.mark.parametrize("answer", [b"", b"+OK", b"{}", b"[]", b'{"stream":"USAGE"}', b'{"seq":"7"}'])
def test_an_answer_that_does_not_say_so_stores_nothing(answer: bytes) -> None:
    assert isinstance(outcome_of(answer, "append to USAGE"), BusUnavailable)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (b'{"code":503,"err_code":10077,"description":"maximum messages exceeded"}', StreamFull),
        (b'{"code":400,"err_code":10060,"description":"expected stream does not match"}', BusUnavailable),
        (b'{"code":503,"err_code":10008,"description":"system temporarily unavailable"}', BusUnavailable),
        (b'{"code":500,"reason":"in a word of its own"}', BusUnavailable),
        (b"{}", BusUnavailable),
    ],
)
def test_an_error_is_told_as_one_and_not_raised(error: bytes, told: type[BusError]) -> None:
    found = outcome_of(b'{"error":%b,"stream":"USAGE","seq":0}' % error, "append to USAGE")
    assert type(found) is told
    assert "append to USAGE" in str(found)
