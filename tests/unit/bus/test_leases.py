import pytest

from hostler_bus.leases import Acquire, LeaseView, Lost, Renew, Step, Wait, next_step

TTL = 6.0


def held(granted_at: float = 100.0, tried_at: float | None = None) -> LeaseView:
    return LeaseView(TTL, 7, granted_at, granted_at if tried_at is None else tried_at)


@pytest.mark.parametrize(
    ("view", "now", "expected"),
    [
        pytest.param(LeaseView(TTL), 100.0, Acquire(), id="never tried: at once"),
        pytest.param(LeaseView(TTL, tried_at=100.0), 101.0, Wait(1.0), id="tried just now: later"),
        pytest.param(LeaseView(TTL, tried_at=100.0), 102.0, Acquire(), id="tried a third ago: again"),
        pytest.param(held(), 100.0, Wait(2.0), id="granted just now: until a third is over"),
        pytest.param(held(), 102.0, Renew(7), id="a third is over: renew"),
        pytest.param(held(tried_at=102.0), 102.0, Wait(0.6), id="a renewal failed: soon again"),
        pytest.param(held(tried_at=102.0), 102.6, Renew(7), id="soon is now"),
        pytest.param(held(tried_at=105.8), 105.9, Wait(0.1), id="never waits beyond the end"),
        pytest.param(held(), 106.0, Lost(), id="ran out"),
        pytest.param(held(), 1000.0, Lost(), id="was frozen"),
    ],
)
def test_the_next_step(view: LeaseView, now: float, expected: Step) -> None:
    step = next_step(view, now)
    if isinstance(expected, Wait):
        assert isinstance(step, Wait)
        assert step.seconds == pytest.approx(expected.seconds)
    else:
        assert step == expected


def test_a_wait_is_never_too_short_for_a_timer() -> None:
    assert next_step(LeaseView(TTL, tried_at=100.0), 102.0 - 1e-12) == Wait(0.001)
