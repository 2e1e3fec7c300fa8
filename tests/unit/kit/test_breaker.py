"""The breaker: every pair of its table, and what it lets through when."""

import pytest

from hostler_domain.errors import IllegalTransition
from hostler_kit.breaker import Breaker, BreakerEvent, BreakerState, transition
from tests.support.manual_clock import ManualClock

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
SUCCESS, FAILURE, REST_OVER = BreakerEvent.SUCCESS, BreakerEvent.FAILURE, BreakerEvent.REST_OVER
EXPECTED: dict[tuple[BreakerState, BreakerEvent], BreakerState | None] = {
    (CLOSED, SUCCESS): CLOSED,
    (CLOSED, FAILURE): OPEN,
    (CLOSED, REST_OVER): None,
    (OPEN, SUCCESS): OPEN,
    (OPEN, FAILURE): OPEN,
    (OPEN, REST_OVER): HALF_OPEN,
    (HALF_OPEN, SUCCESS): CLOSED,
    (HALF_OPEN, FAILURE): OPEN,
    (HALF_OPEN, REST_OVER): None,
}


def test_the_table_names_every_pair() -> None:
    assert set(EXPECTED) == {(state, event) for state in BreakerState for event in BreakerEvent}


@pytest.mark.parametrize(("pair", "after"), EXPECTED.items(), ids=str)
def test_a_pair_leads_where_the_table_says(
    pair: tuple[BreakerState, BreakerEvent], after: BreakerState | None
) -> None:
    if after is None:
        with pytest.raises(IllegalTransition):
            transition(*pair)
    else:
        assert transition(*pair) is after


def breaker(clock: ManualClock) -> Breaker:
    return Breaker(failures_max=3, rest_seconds=2.0, monotonic=clock.monotonic)


def open_breaker(clock: ManualClock) -> Breaker:
    made = breaker(clock)
    for _ in range(3):
        made.failed()
    return made


def test_it_opens_at_so_many_failures_in_a_row(manual_clock: ManualClock) -> None:
    made = breaker(manual_clock)
    seen = []
    for _ in range(3):
        assert made.allows()
        made.failed()
        seen.append(made.state)
    assert seen == [CLOSED, CLOSED, OPEN]
    assert not made.allows()


def test_a_success_between_failures_starts_the_count_anew(manual_clock: ManualClock) -> None:
    made = breaker(manual_clock)
    for _ in range(5):
        made.failed()
        made.failed()
        made.succeeded()
    assert made.state is CLOSED


def test_it_lets_one_call_through_after_its_rest(manual_clock: ManualClock) -> None:
    made = open_breaker(manual_clock)
    manual_clock.jump(1.99)
    assert (made.state, made.allows()) == (OPEN, False)
    manual_clock.jump(0.02)
    assert (made.state, made.allows(), made.allows()) == (HALF_OPEN, True, False)


def test_the_trial_that_goes_well_closes_it(manual_clock: ManualClock) -> None:
    made = open_breaker(manual_clock)
    manual_clock.jump(2)
    assert made.allows()
    made.succeeded()
    assert (made.state, made.allows(), made.allows()) == (CLOSED, True, True)


def test_the_trial_that_fails_opens_it_for_another_rest(manual_clock: ManualClock) -> None:
    made = open_breaker(manual_clock)
    manual_clock.jump(2)
    assert made.allows()
    made.failed()
    manual_clock.jump(1.99)
    assert made.state is OPEN
    manual_clock.jump(0.02)
    assert made.allows()


def test_a_trial_that_never_ends_is_given_up(manual_clock: ManualClock) -> None:
    made = open_breaker(manual_clock)
    manual_clock.jump(2)
    assert made.allows()
    manual_clock.jump(1.99)
    assert not made.allows()
    manual_clock.jump(0.02)
    assert made.allows()


def test_calls_that_end_after_it_opened_change_nothing(manual_clock: ManualClock) -> None:
    made = open_breaker(manual_clock)
    made.succeeded()
    manual_clock.jump(1)
    made.failed()
    assert made.state is OPEN
    manual_clock.jump(1)
    assert made.state is HALF_OPEN
