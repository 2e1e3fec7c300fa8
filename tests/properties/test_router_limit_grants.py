"""However requests come to however many routers, what they let in from grants was counted before, and what nobody used comes back."""

from dataclasses import dataclass, field

from hypothesis import given as given_by
from hypothesis import strategies as st

from hostler_domain.limits import Limits
from hostler_router.limit_grants import PERIOD_SECONDS, Grant, Room, filled, given
from hostler_router.limit_grants import emptied as without
from hostler_router.limit_rules import Level, charged, corrected, leaked, refusals, subjects_of

# From limits that are too small for a grant to such as nobody reaches.
BOUNDS = st.sampled_from([None, 10, 99, 100, 250, 400, 1000, 6000])
LIMITS = st.builds(Limits, BOUNDS, BOUNDS).filter(bool)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.1, 0.1, 0.5]),  # seconds that pass before
        st.integers(0, 2),  # at which router
        st.sampled_from([0, 1, 5, 20, 60, 60]),  # how many requests
        st.sampled_from([1, 1, 3, 40]),  # of how many tokens each
    ),
    min_size=5,
    max_size=60,
)


@dataclass
class Store:
    """What Valkey has of one caller, as values."""

    key: Limits
    project: Limits | None
    now: float = 0.0
    levels: list[Level] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.subjects = subjects_of("k", self.key, "p", self.project)
        self.levels = [Level() for _ in self.subjects]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.levels = [
            leaked(level, subject.limits, seconds)
            for subject, level in zip(self.subjects, self.levels, strict=True)
        ]

    def ask(self, tokens: int) -> bool:
        pairs = list(zip(self.subjects, self.levels, strict=True))
        if any(list(refusals(subject, level, tokens)) for subject, level in pairs):
            return False
        self.levels = [charged(level, subject.limits, tokens) for subject, level in pairs]
        return True

    def give(self, grant: Grant, routers: int) -> None:
        wanted = grant.wants(self.now, routers)
        if wanted is None:
            return
        room = given(self.subjects, self.levels, wanted)
        self.levels = [
            filled(level, subject.limits, room)
            for subject, level in zip(self.subjects, self.levels, strict=True)
        ]
        grant.took(room, self.now)
        grant.heard(tuple(self.levels), self.now)

    def take_back(self, room: Room) -> None:
        self.levels = [
            corrected(without(level, subject.limits, room.requests), subject.limits, -room.tokens)
            for subject, level in zip(self.subjects, self.levels, strict=True)
        ]


def play(store: Store, grants: list[Grant], steps: list[tuple[float, int, int, int]]) -> tuple[int, int, int]:
    """Requests and tokens that were let in, and how many of the requests from a grant."""
    requests = tokens = granted = 0
    looked_at = 0.0
    for seconds, index, count, size in steps:
        store.wait(seconds)
        if store.now - looked_at >= PERIOD_SECONDS:
            looked_at = store.now
            for grant in grants:
                room, _ = grant.look(store.now)
                store.take_back(room)
        grant = grants[index % len(grants)]
        for _ in range(count):
            let_in = grant.spend(size)
            if let_in:
                granted += 1
            else:
                grant.came_asking(store.now)
                let_in = store.ask(size)
            requests += let_in
            tokens += size * let_in
            store.give(grant, len(grants))
        for subject in store.subjects:
            leak = store.now / 60
            rpm, tpm = subject.limits.requests_per_minute, subject.limits.tokens_per_minute
            assert rpm is None or requests <= rpm + leak * rpm + 1e-6
            assert tpm is None or tokens <= tpm + leak * tpm + 1e-6
    return requests, tokens, granted


@given_by(key=LIMITS, project=st.none() | LIMITS, routers=st.integers(1, 3), steps=STEPS)
def test_all_routers_together_let_in_no_more_than_the_limit_and_what_leaks(
    key: Limits, project: Limits | None, routers: int, steps: list[tuple[float, int, int, int]]
) -> None:
    store = Store(key, project)
    grants = [Grant(key, project, store.subjects) for _ in range(routers)]
    play(store, grants, steps)
    for grant in grants:
        room, _ = grant.give_up()
        store.take_back(room)
        assert not (grant.bounds_requests and grant.requests)
        assert not (grant.bounds_tokens and grant.tokens)


@given_by(limit=st.integers(1, 99), routers=st.integers(1, 3), steps=STEPS)
def test_small_limits_are_counted_one_by_one(
    limit: int, routers: int, steps: list[tuple[float, int, int, int]]
) -> None:
    store = Store(Limits(requests_per_minute=limit), None)
    grants = [Grant(store.key, None, store.subjects) for _ in range(routers)]
    assert play(store, grants, steps)[2] == 0


@given_by(pauses=st.lists(st.sampled_from([0.001, 0.004, 0.01]), min_size=400, max_size=600))
def test_who_comes_quickly_hardly_ever_asks(pauses: list[float]) -> None:
    store = Store(Limits(1_000_000, 100_000_000), None)
    grant = Grant(store.key, None, store.subjects)
    requests, _, granted = play(store, [grant], [(pause, 0, 1, 40) for pause in pauses])
    # The first tenth of a second tells that it does.
    assert requests == len(pauses)
    assert granted > 0.6 * requests
