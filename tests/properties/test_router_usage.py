"""Usage written down the short way is that of the long one."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.answer_usage import Usage
from hostler_router.entries import entry_of
from hostler_router.exchange import Exchange
from hostler_router.usage import answered, finished
from tests.support.builders import running_job

NOW = datetime(2026, 11, 21, 10, 8, 12, 852720, tzinfo=UTC)
ENTRY = entry_of(running_job())
COUNTS = st.integers(0, 2**53 - 1)
USAGES = st.none() | st.builds(Usage, COUNTS, COUNTS, st.integers(0, 10**9), st.none() | COUNTS)


@given(usage=USAGES, seconds=st.floats(0, 1e6), tries=st.integers(1, 3))
def test_an_answered_request_is_put_down_as_the_long_way_does(
    usage: Usage | None, seconds: float, tries: int
) -> None:
    exchange = Exchange("request-1", "/v1/chat/completions", 5.0)
    exchange.named_by_client = False
    exchange.key_id, exchange.key_project, exchange.replica_id = "key-1", "alice", "job-1-r1"
    exchange.usage, exchange.tries = usage, tries
    short = answered(exchange, ENTRY, now=NOW, seconds=seconds, usage_id="request-1")
    long = finished(
        exchange,
        ENTRY,
        status=200,
        now=NOW,
        duration_seconds=seconds,
        usage_id="request-1",
        measured=usage is not None,
    )
    assert msgspec.json.encode(short) == msgspec.json.encode(long)
