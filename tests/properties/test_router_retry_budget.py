"""However requests and failures come, retries stay within the budget, and nearly all of it can be had."""

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.retry_budget import RetryBudget

WINDOW = 10.0
EVENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.3, 1.0, 2.5, 9.0, 30.0]), st.integers(0, 6), st.integers(0, 6)),
    max_size=80,
)


@given(events=EVENTS, share=st.sampled_from([0.0, 0.2, 0.5]), floor=st.sampled_from([0.0, 0.1, 1.0]))
def test_in_no_window_are_there_more_retries_than_the_budget_has(
    events: list[tuple[float, int, int]], share: float, floor: float
) -> None:
    budget = RetryBudget(share, floor, WINDOW)
    now, requests, retries = 1000.0, [], []
    for pause, came, failed in events:
        now += pause
        for _ in range(came):
            budget.request(now)
            requests.append(now)
        for _ in range(failed):
            in_window = sum(at > now - WINDOW for at in requests)
            retried = sum(at > now - WINDOW for at in retries)
            surely = sum(at > now - WINDOW * 0.9 for at in requests)
            at_most = sum(at > now - WINDOW * 1.1 for at in retries)
            balance = budget.balance(now)
            if budget.may_retry(now):
                assert retried + 1 <= share * in_window + floor * WINDOW + 1e-9
                assert abs(budget.balance(now) - (balance - 1)) < 1e-9
                retries.append(now)
            else:
                assert budget.balance(now) == balance
                # What it refuses for the sake of its coarse parts is a tenth of a window at most.
                assert at_most + 1 > share * surely + floor * WINDOW - 1e-9
