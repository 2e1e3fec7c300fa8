import pytest

from hostler_router.retry_budget import RetryBudget


def retries(budget: RetryBudget, now: float, asked: int = 1000) -> int:
    return sum(budget.may_retry(now) for _ in range(asked))


def test_without_requests_there_is_the_floor() -> None:
    assert retries(RetryBudget(share=0.2, floor_per_second=10, window_seconds=10), 50) == 100


def test_requests_pay_for_a_share_of_retries() -> None:
    budget = RetryBudget(share=0.2, floor_per_second=0)
    for _ in range(50):
        budget.request(50)
    assert retries(budget, 50) == 10


def test_without_floor_and_requests_there_is_none() -> None:
    assert retries(RetryBudget(floor_per_second=0), 50) == 0


def test_a_refused_retry_costs_nothing() -> None:
    budget = RetryBudget(share=0.2, floor_per_second=0.1)
    assert retries(budget, 50, 100) == 1
    for _ in range(5):
        budget.request(50)
    assert retries(budget, 50) == 1


def test_requests_and_retries_are_forgotten_after_the_window() -> None:
    budget = RetryBudget(share=0.5, floor_per_second=0.3, window_seconds=10)
    for _ in range(10):
        budget.request(50.5)
    assert retries(budget, 50.5) == 8
    assert budget.balance(59.9) == 0
    assert budget.balance(60) == -5
    assert budget.balance(60.9) == -5
    assert budget.balance(61) == 3


@pytest.mark.parametrize("later", [11, 1000, 1_000_000])
def test_after_a_pause_all_is_as_at_first(later: float) -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.request(50)
    retries(budget, 50)
    assert budget.balance(50 + later) == 100
