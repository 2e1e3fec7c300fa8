"""The line against a plain list that is searched through for every answer."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hostler_router.waiting_line import BATCH_TURN, Ticket, WaitingLine

SECONDS = st.integers(0, 20)


@dataclass
class Waiter:
    number: int
    batch: bool
    priority: int
    joined: float
    deadline: float


class Lines(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.line: WaitingLine[int] = WaitingLine(6)
        self.model: list[Waiter] = []
        self.tickets: dict[int, Ticket[int]] = {}
        self.joined = 0
        self.passed_over = 0

    @rule(batch=st.booleans(), priority=st.integers(-2, 2), after=st.one_of(st.none(), SECONDS))
    def join(self, batch: bool, priority: int, after: int | None) -> None:
        self.joined += 1
        deadline = float("inf") if after is None else self.now + after
        waiter = Waiter(self.joined, batch, priority, self.now, deadline)
        ticket = self.line.join(
            waiter.number, batch=batch, priority=priority, now=self.now, deadline=deadline
        )
        evicted = None
        if len(self.model) >= 6:
            batches = [one for one in self.model if one.batch]
            if batch or not batches:
                assert ticket is None
                return
            evicted = max(batches, key=lambda one: (one.priority, one.number))
            self.model.remove(evicted)
        assert ticket is not None
        assert ticket.evicted == (None if evicted is None else evicted.number)
        self.model.append(waiter)
        self.tickets[waiter.number] = ticket

    @rule()
    def next(self) -> None:
        in_time = [one for one in self.model if one.deadline > self.now]
        order = sorted(in_time, key=lambda one: (one.batch, one.priority, one.number))
        batches = [one for one in order if one.batch]
        expected = order[0] if order else None
        if batches and (expected is batches[0] or self.passed_over == BATCH_TURN - 1):
            expected = batches[0]
            self.passed_over = 0
        elif batches:
            self.passed_over += 1
        assert self.line.next(self.now) == (None if expected is None else expected.number)
        if expected is not None:
            self.model.remove(expected)

    @rule(chosen=st.integers(0, 1000))
    def leave(self, chosen: int) -> None:
        if self.joined == 0:
            return
        number = chosen % self.joined + 1
        waits = [one for one in self.model if one.number == number]
        if number in self.tickets:
            assert self.line.leave(self.tickets[number]) == bool(waits)
        for one in waits:
            self.model.remove(one)

    @rule(seconds=SECONDS)
    def expire(self, seconds: int) -> None:
        self.now += seconds
        expired = [one for one in self.model if one.deadline <= self.now]
        expired.sort(key=lambda one: (one.deadline, one.number))
        assert self.line.expire(self.now) == [one.number for one in expired]
        self.model = [one for one in self.model if one.deadline > self.now]

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def equals_the_model(self) -> None:
        assert len(self.line) == len(self.model)
        deadlines = [one.deadline for one in self.model if one.deadline < float("inf")]
        assert self.line.next_deadline == min(deadlines, default=None)
        oldest = min((one.joined for one in self.model), default=self.now)
        assert self.line.oldest_age(self.now) == self.now - oldest
        waiting = {number for number, ticket in self.tickets.items() if ticket.waiting}
        assert waiting == {one.number for one in self.model}


TestLines = Lines.TestCase
TestLines.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
