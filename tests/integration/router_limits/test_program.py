"""The program in Valkey against its pure model: whatever is asked in whatever order, both say the same.

The program runs in a real Valkey, with a clock that the test sets.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from hostler_domain.limits import Limits
from hostler_kit.valkey import open_valkey
from hostler_router.limit_grants import Room, Wanted, emptied, filled
from hostler_router.limit_grants import given as given_room
from hostler_router.limit_rules import (
    Asked,
    Level,
    Outcome,
    Subject,
    charged,
    corrected,
    leaked,
    refusals,
    subjects_of,
    verdict,
)
from hostler_router.limits_store import PREFIX, LimitStore, outcome_of, room_of
from tests.support.valkey_server import ValkeyServer

LEASE_SECONDS = 5.0
SET_TIME = "local now = tonumber(redis.call('GET', 'now'))"

# Small ones, so that a few requests reach them, and such as leave a fraction of everything.
bounds = st.none() | st.integers(1, 6) | st.sampled_from([7, 1_000, 999_999_937])
limits = st.builds(Limits, bounds, bounds, st.none() | st.integers(1, 3))


@dataclass(frozen=True)
class Ask:
    tokens: int


@dataclass(frozen=True)
class End:
    index: int
    used: int | None


@dataclass(frozen=True)
class Wait:
    microseconds: int


@dataclass(frozen=True)
class Grant:
    wanted: Wanted


@dataclass(frozen=True)
class Back:
    requests: int


asks = st.builds(Ask, st.integers(0, 3) | st.sampled_from([40, 10**7]))
ends = st.builds(End, st.integers(0, 2), st.none() | st.integers(0, 6) | st.integers(0, 3000))
# Up to what lets a lease run out; and a clock may go back, too.
waits = st.builds(Wait, st.integers(-10_000_000, 12_000_000) | st.integers(0, 40_000_000))
few = st.integers(0, 4)
grants = st.builds(
    Grant, st.builds(Wanted, st.integers(0, 50), st.integers(0, 3000), few, few, st.integers(1, 12))
)
backs = st.builds(Back, st.integers(0, 3))
steps = st.lists(st.one_of(asks, asks, asks, ends, grants, backs, waits), min_size=15, max_size=40)


@dataclass
class Model:
    """What Valkey has, as values."""

    now: int = 1_790_000_000_000_000
    levels: dict[str, tuple[Level, int]] = field(default_factory=dict)
    slots: dict[str, dict[str, float]] = field(default_factory=dict)

    def level(self, subject: Subject) -> Level:
        stored, at = self.levels.get(subject.name, (Level(), self.now))
        if at > self.now:
            self.levels[subject.name] = (stored, self.now)
        level = leaked(stored, subject.limits, (self.now - at) / 1e6)
        held = self.slots.setdefault(subject.name, {})
        for request in [each for each, until in held.items() if until <= self.now]:
            del held[request]
        return Level(level.requests, level.tokens, len(held))

    def ask(self, asked: Asked) -> Outcome:
        levels = tuple(self.level(subject) for subject in asked.subjects)
        pairs = list(zip(asked.subjects, levels, strict=True))
        if any(list(refusals(subject, level, asked.tokens)) for subject, level in pairs):
            return Outcome(False, levels)
        full = tuple(charged(level, subject.limits, asked.tokens) for subject, level in pairs)
        for subject, level in zip(asked.subjects, full, strict=True):
            self.levels[subject.name] = (level, self.now)
            if subject.limits.concurrency is not None:
                self.slots[subject.name][asked.request] = self.now + LEASE_SECONDS * 1e6
        return Outcome(True, full)

    def grant(self, subjects: tuple[Subject, ...], wanted: Wanted) -> tuple[Room, tuple[Level, ...]]:
        levels = tuple(self.level(subject) for subject in subjects)
        room = given_room(subjects, levels, wanted)
        full = tuple(
            filled(level, subject.limits, room) for subject, level in zip(subjects, levels, strict=True)
        )
        if room != Room():
            for subject, level in zip(subjects, full, strict=True):
                self.levels[subject.name] = (level, self.now)
        return room, full

    def take_back(self, subjects: tuple[Subject, ...], requests: int) -> None:
        for subject in subjects:
            if requests and subject.limits.requests_per_minute is not None:
                level = emptied(self.level(subject), subject.limits, requests)
                self.levels[subject.name] = (level, self.now)

    def end(self, asked: Asked, tokens: int) -> None:
        for subject in asked.subjects:
            self.slots[subject.name].pop(asked.request, None)
            if tokens and subject.limits.tokens_per_minute is not None:
                level = corrected(self.level(subject), subject.limits, tokens)
                self.levels[subject.name] = (level, self.now)


def assert_same(got: Sequence[Level], expected: Sequence[Level]) -> None:
    for its, mine in zip(got, expected, strict=True):
        assert its.requests == pytest.approx(mine.requests, rel=1e-9, abs=1e-6)
        assert its.tokens == pytest.approx(mine.tokens, rel=1e-9, abs=1e-6)
        assert its.slots == mine.slots


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=limits, project=limits, steps=steps)
def test_the_program_decides_as_the_model_does(
    valkey: ValkeyServer, key: Limits, project: Limits, steps: list[Ask | End | Grant | Back | Wait]
) -> None:
    subjects = subjects_of("k", key, "p", project)
    if not subjects:
        return

    async def play() -> None:
        model = Model()
        store = LimitStore(
            open_valkey(SecretStr(valkey.url), timeout_seconds=30), lease_seconds=LEASE_SECONDS, time=SET_TIME
        )
        begun: list[Asked] = []
        try:
            with valkey.client() as client:
                client.flushall()
                client.set("now", model.now)
                for number, step in enumerate(steps):
                    match step:
                        case Wait(microseconds):
                            model.now += microseconds
                            client.set("now", model.now)
                        case Ask(tokens):
                            asked = Asked(f"r{number}", subjects, tokens)
                            [answer] = await store.run([store.admit_call(asked)])
                            got, expected = outcome_of(answer), model.ask(asked)
                            assert got.admitted == expected.admitted
                            assert_same(got.levels, expected.levels)
                            # Whoever is refused is told why, from what the program answered.
                            assert (verdict(asked, got, None).refused_by is None) == got.admitted
                            if got.admitted:
                                begun.append(asked)
                        case Grant(wanted):
                            [answer] = await store.run([store.grant_call(subjects, wanted)])
                            room, levels = room_of(answer)
                            expected_room, expected_levels = model.grant(subjects, wanted)
                            assert room == expected_room
                            assert_same(levels, [replace(each, slots=0) for each in expected_levels])
                        case Back(requests):
                            await store.run([store.settle_call(subjects, [], 0, unused=requests)])
                            model.take_back(subjects, requests)
                        case End(index, used):
                            if index < len(begun):
                                asked = begun.pop(index)
                                tokens = 0 if used is None else used - asked.tokens
                                await store.run([store.settle_call(subjects, [asked.request], tokens)])
                                model.end(asked, tokens)
                    # Lifetimes go by the real clock, which is not the test's.
                    for subject in subjects:
                        client.persist(f"{PREFIX}:{subject.name}:rates")
        finally:
            await store.close()

    asyncio.run(play())
