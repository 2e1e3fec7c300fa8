"""Against a plain list of times: nothing is asked early, and nothing later than a tick after its time."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hostler_router.timer_wheel import TimerWheel

SIXTEENTHS = st.integers(-32, 320).map(lambda number: number / 16)
STEPS = st.one_of(st.integers(0, 12), st.integers(0, 400)).map(lambda number: number / 16)
FINE = st.floats(-2, 60, allow_nan=False).map(lambda number: round(number, 6))
NAMES = st.sampled_from("abcdef")


class Item:
    def __init__(self, wheels: "Wheels", name: str) -> None:
        self.wheels, self.name = wheels, name
        self.deeds: list[Callable[[], float | None]] = []

    def due_again(self, now: float) -> float | None:
        return self.wheels.asked(self, now)


class Wheels(RuleBasedStateMachine):
    """Times are sums of sixteenths and a tick is a quarter, so that all comparisons are exact."""

    tick, slots, slack = 0.25, 8, 0.0

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.wheel = TimerWheel(self.tick, self.slots)
        self.items = {name: Item(self, name) for name in "abcdef"}
        self.due: dict[str, float] = {}
        self.latest: dict[str, float] = {}

    def expect(self, name: str, due: float) -> None:
        self.due[name] = due
        self.latest[name] = max(due, self.now) + self.tick

    def asked(self, item: Item, now: float) -> float | None:
        assert now == self.now
        assert self.due.pop(item.name) <= now
        del self.latest[item.name]
        if not item.deeds:
            return None
        again = item.deeds.pop(0)()
        if again is not None:
            self.expect(item.name, again)
        return again

    def _arm(self, name: str, due: float) -> None:
        self.wheel.arm(self.items[name], due)
        self.expect(name, due)

    def _disarm(self, name: str) -> None:
        self.wheel.disarm(self.items[name])
        self.due.pop(name, None)
        self.latest.pop(name, None)

    @rule(name=NAMES, after=SIXTEENTHS)
    def arm(self, name: str, after: float) -> None:
        self._arm(name, self.now + after)

    @rule(name=NAMES)
    def disarm(self, name: str) -> None:
        self._disarm(name)

    @rule(name=NAMES, after=SIXTEENTHS)
    def will_name_a_later_time(self, name: str, after: float) -> None:
        self.items[name].deeds.append(lambda: self.now + after)

    @rule(name=NAMES, other=NAMES, after=SIXTEENTHS)
    def will_arm_another(self, name: str, other: str, after: float) -> None:
        def deed() -> None:
            if other != name:
                self._arm(other, self.now + after)

        self.items[name].deeds.append(deed)

    @rule(name=NAMES, other=NAMES)
    def will_disarm_another(self, name: str, other: str) -> None:
        self.items[name].deeds.append(lambda: self._disarm(other))

    @rule(step=STEPS)
    def time_passes_unseen(self, step: float) -> None:
        self.now += step

    @rule(step=STEPS)
    def advance(self, step: float) -> None:
        self.now += step
        self.wheel.advance(self.now)
        assert not [name for name, latest in self.latest.items() if latest + self.slack <= self.now]
        assert len(self.wheel) == len(self.due)
        assert all((item in self.wheel) == (name in self.due) for name, item in self.items.items())


class FineWheels(Wheels):
    """A tick that no binary number meets, and times between: exact but for rounding."""

    tick, slots, slack = 0.05, 16, 1e-9

    @rule(name=NAMES, after=FINE)
    def arm_finely(self, name: str, after: float) -> None:
        self._arm(name, self.now + after)

    @rule(tenths=st.integers(0, 40))
    def arm_on_a_tick(self, tenths: int) -> None:
        self._arm("a", round(self.now + tenths * 0.05, 2))

    @rule(step=FINE.map(abs))
    def advance_finely(self, step: float) -> None:
        self.advance(step)


TestWheels = Wheels.TestCase
TestWheels.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestFineWheels = FineWheels.TestCase
TestFineWheels.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
