"""How long replicas that were missed are held: weighed by what was late."""

import pytest

from hostler_autoscaler.holding import SECONDS_MAX, Holding

WINDOW = 300.0
COLD = 180.0
JUDGED = COLD + 180 + 10
RPS = 2.0


def rose(now: float, *, down_at: float | None) -> Holding:
    # Of those that were there before nobody is missed.
    held = (
        Holding()
        if down_at is None
        else Holding().fell(down_at - 500, 7).fell(down_at, 6).fell(down_at + 60, 5)
    )
    return held.rose(now, window_seconds=WINDOW, before=5)


def look(held: Holding, now: float, *, late: float = 0.0, needed: int = 7) -> Holding:
    return held.seen(now, needed=needed, late=late, replica_rps=RPS, cold_start_seconds=COLD)


def test_load_that_came_back_is_waited_for_as_long_when_that_would_have_cost_less():
    # Two replicas of 2 rps for 1000 s could have served 4000 requests, which 400 late ones are worth.
    back = rose(5000, down_at=4000)
    over = 5000 + JUDGED
    assert look(look(back, 5060, late=399), over).held_seconds(over) == 0
    assert look(look(back, 5060, late=401), over).held_seconds(over) == pytest.approx(1.2 * (1000 + WINDOW))


def test_late_requests_count_until_help_has_come_and_worked_off_what_piled_up():
    back = look(rose(5000, down_at=4000), 5060, late=300)
    assert look(back, 5000 + JUDGED, late=0).rose_at is None
    later = look(look(back, 5000 + JUDGED, late=0), 5000 + JUDGED + 10, late=500)
    assert later.held_seconds(5000 + JUDGED + 10) == 0


def test_a_first_burst_that_was_over_before_help_came_is_held_for_as_long_as_it_was_worth():
    burst = look(rose(5000, down_at=None), 5060, late=300)
    over = look(burst, 5000 + JUDGED, needed=5)
    assert over.held_seconds(5000 + JUDGED) == pytest.approx(10 * 300 / (2 * RPS))


def test_a_first_rise_that_lasts_is_not():
    step = look(rose(5000, down_at=None), 5060, late=300)
    assert look(step, 5000 + JUDGED, needed=7).held_seconds(5000 + JUDGED) == 0


def test_nothing_is_held_where_nobody_was_late():
    back = look(rose(5000, down_at=4000), 5060)
    assert look(back, 5000 + JUDGED, needed=5).held_seconds(5000 + JUDGED) == 0


def test_what_is_of_use_goes_on_to_be_held_and_what_is_not_is_forgotten():
    held = Holding(seconds=1000, used_at=5000, base=5)
    assert held.held_seconds(7000) == 1000
    assert held.held_seconds(7001) == 0
    # Load that stays is nothing that comes back.
    assert look(held, 6500, needed=7).held_seconds(8000) == 0
    assert look(look(held, 6000, needed=5), 6500, needed=6).held_seconds(8000) == 1000
    assert look(look(held, 6000, needed=5), 6500, needed=5).held_seconds(8000) == 0


def test_what_comes_too_seldom_is_not_waited_for():
    over = 50_000 + JUDGED
    far = look(rose(50_000, down_at=50_000 - SECONDS_MAX - 1), 50_060, late=10_000)
    assert look(far, over).held_seconds(over) == 0
    near = look(rose(50_000, down_at=50_000 - SECONDS_MAX + 1), 50_060, late=10_000)
    assert look(near, over).held_seconds(over) == SECONDS_MAX
