"""How often something came per second, from the reports of several routers that may be late, lost or overlap.

Pure; `signals` calls it. Time is cut into steps, each router has a rate in each step, and the rates of a step add up. A router that came or
went counts in the steps in which it was there; one whose report of a step was lost, or has not come yet, counts as in the nearest step that
it reported.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from hostler_autoscaler.slices import Slice

STEP_SECONDS: Final = 10.0
STEPS: Final = 6
LOOK_BACK_SECONDS: Final = STEP_SECONDS * STEPS
KNOWN_SECONDS_MIN: Final = 2.5
"""Less of a step than this is a report at its edge, and its rate would be chance."""
ALONE_SECONDS_MIN: Final = 5.0
"""What a router is taken to have reported of at least that has reported less: one request within 10 ms is no hundred a second."""


def rates(
    slices: Iterable[Slice],
    *,
    at: float,
    staying: Callable[[str], bool],
    amount: Callable[[Slice], int],
) -> tuple[float | None, ...]:
    """The rate in each of the last `STEPS` steps, the newest last; None in one that nobody reported.

    Args:
        slices: Of one job, in any order.
        at: End of the newest step, in seconds since 1970.
        staying: Whether a router whose newest report is older than the newest step is still there.
        amount: What to count.
    """
    counted: dict[str, list[list[float]]] = {}
    for each in slices:
        steps = counted.get(each.router)
        if steps is None:
            steps = counted[each.router] = [[0.0, 0.0] for _ in range(STEPS)]
        _apportion(each, amount(each), steps, at)
    totals: list[float | None] = [None] * STEPS
    for router, steps in counted.items():
        if not any(seconds > 0 for _, seconds in steps):
            continue
        own = _rates_of(steps, stays=staying(router))
        for number, (rate, (_, seconds)) in enumerate(zip(own, steps, strict=True)):
            total = totals[number]
            if total is not None:
                totals[number] = total + rate
            elif seconds > 0 or rate > 0:
                totals[number] = rate
    return tuple(totals)


def mean(steps: Iterable[float | None]) -> float | None:
    """The mean over the steps of which something is known; None of nothing."""
    known = [rate for rate in steps if rate is not None]
    return sum(known) / len(known) if known else None


def _apportion(each: Slice, amount: int, steps: list[list[float]], at: float) -> None:
    """Add a report to the steps that it overlaps, evenly over its time."""
    length = each.end - each.begin
    oldest = at - LOOK_BACK_SECONDS
    first = max(int((each.begin - oldest) // STEP_SECONDS), 0)
    last = min(int((each.end - oldest) // STEP_SECONDS), STEPS - 1)
    for number in range(first, last + 1):
        begin = oldest + number * STEP_SECONDS
        seconds = min(each.end, begin + STEP_SECONDS) - max(each.begin, begin)
        if seconds > 0:
            steps[number][0] += amount * seconds / length
            steps[number][1] += seconds


def _rates_of(steps: list[list[float]], *, stays: bool) -> list[float]:
    """A router's rate in each step: 0 before it came and after it went, else that of the nearest step of which enough is known."""
    known = {
        number: came / seconds for number, (came, seconds) in enumerate(steps) if seconds >= KNOWN_SECONDS_MIN
    }
    if not known:
        return [came / ALONE_SECONDS_MIN for came, _ in steps]
    first = min(number for number, (_, seconds) in enumerate(steps) if seconds > 0)
    last = STEPS - 1 if stays else max(number for number, (_, seconds) in enumerate(steps) if seconds > 0)
    return [_nearest(known, number) if first <= number <= last else 0.0 for number in range(STEPS)]


def _nearest(known: Mapping[int, float], number: int) -> float:
    found = known.get(number)
    if found is not None:
        return found
    distance = min(abs(each - number) for each in known)
    near = [rate for each, rate in known.items() if abs(each - number) == distance]
    return sum(near) / len(near)
