"""Whatever fails when: never too many are left out, never for too long, and never without a reason."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hostler_router.outliers import EJECTION_SECONDS, EJECTION_SECONDS_MAX, FAILURES_MAX, Failure, Outliers

NAMES = ("a", "b", "c", "d", "e")
NAME = st.sampled_from(NAMES)


class Judged(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.outliers = Outliers()
        self.failures = dict.fromkeys(NAMES, 0)
        self.until = dict.fromkeys(NAMES, 0.0)
        self.ejections = dict.fromkeys(NAMES, 0)

    @rule(name=NAME, failure=st.sampled_from(Failure), times=st.integers(1, 6))
    def fails(self, name: str, failure: Failure, times: int) -> None:
        for _ in range(times):
            self.failures[name] += 1
            due = self.failures[name] >= FAILURES_MAX or failure is Failure.STALL
            if failure is Failure.STALL:
                self.failures[name] = max(FAILURES_MAX, self.failures[name])
            expected = due and self.now >= self.until[name]
            assert self.outliers.failed(name, failure, self.now) == expected
            if expected:
                # From here to the end of it the replica is left out if it alone is asked about with healthy ones.
                self.ejections[name] += 1
                seconds = self._left_out_for(name)
                assert seconds >= EJECTION_SECONDS
                assert seconds <= min(EJECTION_SECONDS * self.ejections[name], EJECTION_SECONDS_MAX)
                self.until[name] = self.now + seconds

    def _left_out_for(self, name: str) -> float:
        until = self.outliers._ejected_until[name]
        return until - self.now

    @rule(name=NAME)
    def succeeds(self, name: str) -> None:
        self.outliers.succeeded(name, self.now)
        self.failures[name] = 0

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0, 30.0, 100.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=NAME)
    def is_replaced(self, name: str) -> None:
        self.outliers.forget([name])
        self.failures[name], self.until[name], self.ejections[name] = 0, 0.0, 0

    @invariant()
    def leaves_out_whom_it_should(self) -> None:
        for size in range(1, len(NAMES) + 1):
            asked = NAMES[:size]
            bad = {name for name in asked if self.until[name] > self.now}
            allowed = 0 if size == 1 else max(1, size // 2)
            assert self.outliers.ejected(asked, self.now) == (bad if len(bad) <= allowed else set())
            assert self.outliers.panics(asked, self.now) == (size > 1 and len(bad) > allowed)


TestJudged = Judged.TestCase
TestJudged.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
