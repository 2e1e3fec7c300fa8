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
    amount: Callable[[Slice], float],
    steps: int = STEPS,
    step_seconds: float = STEP_SECONDS,
) -> tuple[float | None, ...]:
    """The rate in each of the last steps, the newest last; None in one that nobody reported.

    Args:
        slices: Of one job, in any order.
        at: End of the newest step, in seconds since 1970.
        staying: Whether a router whose newest report is older than the newest step is still there.
        amount: What to count.
        steps: How many there are.
        step_seconds: How long each is.
    """
    counted: dict[str, tuple[list[float], list[float]]] = {}
    for each in slices:
        of_router = counted.get(each.router)
        if of_router is None:
            of_router = counted[each.router] = ([0.0] * steps, [0.0] * steps)
        _apportion(each, amount(each), of_router, at - steps * step_seconds, step_seconds)
    totals: list[float | None] = [None] * steps
    for router, (came, seconds) in counted.items():
        if any(seconds):
            for number, rate in enumerate(_rates_of(came, seconds, stays=staying(router))):
                total = totals[number]
                if total is not None:
                    totals[number] = total + rate
                elif seconds[number] > 0 or rate > 0:
                    totals[number] = rate
    return tuple(totals)


def mean(steps: Iterable[float | None]) -> float | None:
    """The mean over the steps of which something is known; None of nothing."""
    known = [rate for rate in steps if rate is not None]
    return sum(known) / len(known) if known else None


def _apportion(
    each: Slice, amount: float, steps: tuple[list[float], list[float]], oldest: float, step_seconds: float
) -> None:
    """Add a report to the steps that it overlaps, evenly over its time: what came, and the seconds that it tells of."""
    came, known = steps
    length = each.end - each.begin
    begin, end = each.begin - oldest, each.end - oldest
    first = int(begin // step_seconds) if begin > 0 else 0
    last = min(int(end // step_seconds), len(came) - 1)
    if first == last and begin >= 0:
        came[first] += amount
        known[first] += length
        return
    for number in range(first, last + 1):
        seconds = min(end, (number + 1) * step_seconds) - max(begin, number * step_seconds)
        if seconds > 0:
            came[number] += amount * seconds / length
            known[number] += seconds


def _rates_of(came: list[float], seconds: list[float], *, stays: bool) -> list[float]:
    """A router's rate in each step: 0 before it came and after it went, else that of the nearest step of which enough is known."""
    known = {
        number: came[number] / seconds[number]
        for number in range(len(seconds))
        if seconds[number] >= KNOWN_SECONDS_MIN
    }
    if len(known) == len(seconds):
        return list(known.values())
    if not known:
        return [each / ALONE_SECONDS_MIN for each in came]
    numbers = range(len(seconds))
    there = [number for number in numbers if seconds[number] > 0]
    first, last = there[0], numbers[-1] if stays else there[-1]
    return [_nearest(known, number) if first <= number <= last else 0.0 for number in numbers]


def _nearest(known: Mapping[int, float], number: int) -> float:
    found = known.get(number)
    if found is not None:
        return found
    distance = min(abs(each - number) for each in known)
    near = [rate for each, rate in known.items() if abs(each - number) == distance]
    return sum(near) / len(near)
