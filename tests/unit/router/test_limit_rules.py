"""Limits as values: what fits, who is told what, and how long to wait."""

import json
import math

import pytest

from hostler_domain.limits import Limits
from hostler_router.limit_rules import (
    UNLIMITED,
    Asked,
    Level,
    Outcome,
    Subject,
    Verdict,
    charged,
    corrected,
    estimated_tokens,
    leaked,
    limit_headers,
    refusals,
    reset_text,
    subjects_of,
    verdict,
)
from hostler_router.limits_local import LocalLimits
from hostler_router.openai_errors import rate_limited


def subject(limits: Limits, kind: str = "key") -> Subject:
    return Subject(kind, f"{{team}}:{kind}", limits)


def waits(limits: Limits, level: Level, tokens: int = 0, routers: int = 1) -> dict[str, float]:
    return {each.bound: each.wait_seconds for each in refusals(subject(limits), level, tokens, routers)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (8.64, "8.64s"),
        (59.9999, "1m0s"),
        (90.5, "1m30.5s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
    ],
)
def test_a_reset_is_written_as_openai_writes_it(seconds: float, text: str) -> None:
    assert reset_text(seconds) == text


def test_a_bucket_leaks_its_limit_in_a_minute_and_never_more_than_is_in_it() -> None:
    limits, full = Limits(60, 6000, 3), Level(60, 6000, 2)
    assert leaked(full, limits, 30) == Level(30, 3000, 2)
    assert leaked(full, limits, 3600) == Level(0, 0, 2)
    assert leaked(full, limits, -5) == full
    assert leaked(full, limits, 30, routers=3) == Level(50, 5000, 2)


def test_nothing_is_counted_that_nobody_bounds() -> None:
    assert charged(Level(), Limits(tokens_per_minute=9), 5) == Level(0, 5, 0)
    assert charged(Level(), Limits(requests_per_minute=9, concurrency=1), 5) == Level(1, 0, 1)
    assert leaked(Level(5, 5), Limits(concurrency=1), 0) == Level(0, 0)


def test_a_request_fits_up_to_the_limit_and_waits_for_what_is_above_it() -> None:
    limits = Limits(requests_per_minute=10)
    assert waits(limits, Level(requests=9)) == {}
    assert waits(limits, Level(requests=10)) == {"requests_per_minute": pytest.approx(6)}
    assert waits(limits, Level(requests=9.5)) == {"requests_per_minute": pytest.approx(3)}


def test_the_wait_for_tokens_is_the_one_that_openai_tells() -> None:
    # From an answer of theirs: limit 30000, used 29937, requested 385, "try again in 644ms".
    found = waits(Limits(tokens_per_minute=30_000), Level(tokens=29_937), 385)
    assert found == {"tokens_per_minute": pytest.approx(0.644)}


def test_a_request_that_is_larger_than_its_limit_never_fits() -> None:
    assert waits(Limits(tokens_per_minute=100), Level(), 101) == {"tokens_per_minute": math.inf}
    assert waits(Limits(tokens_per_minute=100), Level(), 101, routers=4) == {"tokens_per_minute": math.inf}


def test_slots_are_as_many_as_the_limit_says() -> None:
    limits = Limits(concurrency=2)
    assert waits(limits, Level(slots=1)) == {}
    assert waits(limits, Level(slots=2)) == {"concurrency": 1.0}


def test_a_share_is_one_part_of_the_limit_but_lets_one_request_at_a_time_through() -> None:
    limits = Limits(requests_per_minute=10, concurrency=10)
    assert waits(limits, Level(requests=1, slots=1), routers=4) == {}
    assert set(waits(limits, Level(requests=2, slots=2), routers=4)) == {"requests_per_minute", "concurrency"}
    small = Limits(1, 100, 1)
    assert waits(small, Level(), 100, routers=4) == {}
    # Four routers that each let one through in four minutes: one in a minute.
    assert waits(small, Level(requests=1), routers=4)["requests_per_minute"] == pytest.approx(240)
    # What was more than the share is paid off at the share's rate.
    assert waits(small, Level(tokens=100), 25, routers=4)["tokens_per_minute"] == pytest.approx(240)


def test_a_correction_stays_within_an_empty_bucket_and_a_minute_of_debt() -> None:
    limits = Limits(tokens_per_minute=100)
    assert corrected(Level(tokens=80), limits, -30).tokens == 50
    assert corrected(Level(tokens=80), limits, -300).tokens == 0
    assert corrected(Level(tokens=80), limits, 3000).tokens == 200
    assert corrected(Level(3, 4), Limits(requests_per_minute=1), 10) == Level(3, 4)


def test_headers_tell_of_the_bound_with_the_least_left() -> None:
    key, project = subject(Limits(100, 50)), subject(Limits(20, 5000), "project")
    headers = dict(limit_headers((key, project), (Level(1, 10), Level(5, 10))))
    assert headers == {
        b"x-ratelimit-limit-requests": b"20",
        b"x-ratelimit-remaining-requests": b"15",
        b"x-ratelimit-reset-requests": b"15s",
        b"x-ratelimit-limit-tokens": b"50",
        b"x-ratelimit-remaining-tokens": b"40",
        b"x-ratelimit-reset-tokens": b"12s",
    }


def test_headers_tell_nothing_of_what_is_not_bounded_and_never_less_than_nothing() -> None:
    assert limit_headers((subject(Limits(concurrency=1)),), (Level(),)) == ()
    in_debt = dict(limit_headers((subject(Limits(tokens_per_minute=10)),), (Level(tokens=20),)))
    assert in_debt[b"x-ratelimit-remaining-tokens"] == b"0"
    assert in_debt[b"x-ratelimit-reset-tokens"] == b"2m0s"


def test_both_names_hold_the_project_in_braces_so_that_a_cluster_keeps_them_together() -> None:
    found = subjects_of("k", Limits(concurrency=1), "team", Limits(concurrency=2))
    assert [each.name for each in found] == ["{team}:key:k", "{team}:project"]
    assert subjects_of("k", None, "team", Limits()) == ()


def test_a_request_is_estimated_by_its_bytes_and_what_the_model_may_answer() -> None:
    assert estimated_tokens(4000, 500, 1024) == 1500
    assert estimated_tokens(4000, None, 1024) == 2024
    assert estimated_tokens(4000, -5, 1024) == 1000


def refused(limits: Limits, level: Level, tokens: int = 0, kind: str = "key") -> Verdict:
    asked = Asked("r", (subject(limits, kind),), tokens)
    return verdict(asked, Outcome(False, (level,)), None)


def test_the_bound_that_keeps_a_request_out_longest_is_the_one_that_is_named() -> None:
    key, project = subject(Limits(10, 100)), subject(Limits(requests_per_minute=1000), "project")
    asked = Asked("r", (key, project), 100)
    found = verdict(asked, Outcome(False, (Level(10, 50), Level(1000))), None)
    assert (found.refused_by, found.retry_after_seconds) == ("key.tokens_per_minute", pytest.approx(30))


ERRORS = {
    "requests": (
        refused(Limits(requests_per_minute=10), Level(requests=10)),
        "requests",
        (
            "Rate limit reached for this API key on requests per min (RPM): Limit 10, Used 10, Requested 1. "
            "Please try again in 6s."
        ),
        {b"retry-after": b"6", b"retry-after-ms": b"6000", b"x-should-retry": b"true"},
    ),
    "tokens of the project": (
        refused(Limits(tokens_per_minute=30_000), Level(tokens=29_937), 385, "project"),
        "tokens",
        (
            "Rate limit reached for the project of this API key on tokens per min (TPM): Limit 30000, Used 29937, "
            "Requested 385. Please try again in 644ms."
        ),
        {b"retry-after": b"1", b"retry-after-ms": b"644", b"x-should-retry": b"true"},
    ),
    "too many at once": (
        refused(Limits(concurrency=3), Level(slots=3)),
        "requests",
        (
            "Rate limit reached for this API key on requests at once: Limit 3, Used 3, Requested 1. "
            "Try again when one of them has ended."
        ),
        {b"retry-after": b"1", b"retry-after-ms": b"1000", b"x-should-retry": b"true"},
    ),
    "larger than the limit": (
        refused(Limits(tokens_per_minute=100), Level(), 2000),
        "tokens",
        (
            "Request too large for the limit of this API key on tokens per min (TPM): Limit 100, Requested 2000. "
            "The prompt or the tokens asked for must be fewer."
        ),
        {b"x-should-retry": b"false"},
    ),
}


@pytest.mark.parametrize(("given", "kind", "message", "headers"), ERRORS.values(), ids=ERRORS)
def test_a_refusal_is_openais_429(
    given: Verdict, kind: str, message: str, headers: dict[bytes, bytes]
) -> None:
    reply = rate_limited(given)
    assert reply.status == 429
    assert json.loads(reply.body()) == {
        "error": {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}
    }
    sent = dict(reply.all_headers())
    told = {b"retry-after", b"retry-after-ms", b"x-should-retry"}
    assert {name: value for name, value in sent.items() if name in told} == headers
    assert set(given.headers) <= set(reply.all_headers())


def local(slots: int = 0) -> LocalLimits:
    return LocalLimits(lambda _subject: slots)


def asked(limits: Limits, tokens: int = 0) -> Asked:
    return Asked("r", (subject(limits),), tokens)


def count(limits: LocalLimits, wanted: Asked, *, now: float, routers: int = 1, tries: int = 50) -> int:
    return sum(limits.decide(wanted, now=now, routers=routers).admitted for _ in range(tries))


def test_a_router_alone_lets_through_what_the_limit_says_and_its_worth_in_every_further_minute() -> None:
    limits, wanted = local(), asked(Limits(requests_per_minute=10))
    assert count(limits, wanted, now=100) == 10
    assert count(limits, wanted, now=106) == 1
    assert count(limits, wanted, now=166) == 10
    assert count(limits, wanted, now=10_000) == 10


def test_several_routers_let_through_the_limit_together() -> None:
    wanted = asked(Limits(requests_per_minute=10))
    assert sum(count(local(), wanted, now=0, routers=5) for _ in range(5)) == 10


@pytest.mark.parametrize(
    ("level", "now", "admitted"),
    [
        pytest.param(Level(requests=10), 0, 0, id="a minute's worth is used up for the shares as well"),
        pytest.param(Level(requests=4), 0, 3, id="half of what is left is this router's"),
        pytest.param(Level(requests=10), 30, 2, id="and what has leaked out since"),
        pytest.param(Level(), 0, 5, id="an empty one gives the whole share"),
    ],
)
def test_a_share_begins_as_full_as_valkey_last_said(level: Level, now: float, admitted: int) -> None:
    limits, wanted = local(), asked(Limits(requests_per_minute=10))
    limits.heard(wanted.subjects, (level,), now=0, routers=2)
    assert count(limits, wanted, now=now, routers=2) == admitted


def test_what_valkey_says_last_counts_but_takes_back_nothing_that_was_let_in_here() -> None:
    limits, wanted = local(), asked(Limits(requests_per_minute=10))
    limits.heard(wanted.subjects, (Level(requests=10),), now=0, routers=2)
    limits.heard(wanted.subjects, (Level(requests=2),), now=1, routers=2)
    assert count(limits, wanted, now=1, routers=2) == 4
    limits.heard(wanted.subjects, (Level(),), now=1, routers=2)
    assert count(limits, wanted, now=1, routers=2) == 0


def test_tokens_that_were_not_used_are_given_back_to_the_share() -> None:
    limits, wanted = local(), asked(Limits(tokens_per_minute=100), 80)
    assert count(limits, wanted, now=0) == 1
    limits.correct(wanted, -70, now=0, routers=1)
    assert count(limits, wanted, now=0) == 1


def test_a_refusal_by_one_subject_charges_none() -> None:
    limits = local()
    wide, narrow = subject(Limits(requests_per_minute=100)), subject(Limits(requests_per_minute=1), "project")
    both = Asked("r", (wide, narrow), 0)
    assert count(limits, both, now=0) == 1
    assert count(limits, Asked("r", (wide,), 0), now=0, tries=200) == 99


def test_requests_under_way_are_held_against_the_share_of_slots() -> None:
    wanted = asked(Limits(concurrency=4))
    assert count(local(slots=1), wanted, now=0, routers=2, tries=1) == 1
    assert count(local(slots=2), wanted, now=0, routers=2, tries=1) == 0


def test_buckets_that_ran_dry_are_forgotten() -> None:
    limits = local()
    count(limits, asked(Limits(requests_per_minute=10)), now=0, tries=5)
    limits.sweep(now=29, routers=1)
    assert len(limits) == 1
    limits.sweep(now=31, routers=1)
    assert len(limits) == 0


def test_without_limits_a_verdict_says_nothing() -> None:
    assert (UNLIMITED.admitted, UNLIMITED.headers, UNLIMITED.lease) == (True, (), None)
