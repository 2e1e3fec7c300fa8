"""The router's bench says of a figure what became of its target, and never calls something met that was not seen."""

import math

import pytest

from bench.router.figures import ADDED_P50, NATS, RATE, W1, W4_CPU, Figure, Measured, table, verdict


@pytest.mark.parametrize(
    ("figure", "value", "ratio", "said"),
    [
        pytest.param(W1, 900, 2.0, "moonshot", id="a ratio that is reached"),
        pytest.param(W1, 1, 2.1, "met", id="a ratio that is good enough"),
        pytest.param(W1, 1, 3.1, "MISSED", id="a ratio that is not"),
        pytest.param(W1, 1, math.nan, "not measured", id="a ratio to nothing"),
        pytest.param(ADDED_P50, 80, 9, "moonshot", id="a value, whatever nginx has"),
        pytest.param(ADDED_P50, 151, 0.5, "MISSED", id="a value that is too much"),
        pytest.param(W4_CPU, 1, 1, "", id="nothing was asked"),
    ],
)
def test_the_verdict_on_a_figure(figure: Figure, value: float, ratio: float, said: str) -> None:
    assert verdict(figure, value, ratio) == said


def test_the_best_of_the_repeats_counts_and_of_a_rate_the_highest() -> None:
    measured = Measured()
    for value in (30.0, 20.0, math.nan):
        measured.note(W1, "nginx", value)
        measured.note(W1, "router", 2 * value)
        measured.note(RATE, "nginx", value)
    assert measured.best(W1, "nginx") == 20
    assert measured.best(RATE, "nginx") == 30
    assert measured.ratio(W1, "router", "nginx") == 2
    assert "40.0 (2.00x)" in table(measured, ["nginx", "router"], to="nginx", judged=["router"])
    assert math.isnan(measured.best(W1, "nobody"))
    measured.note(NATS, "nginx", 0.0)
    measured.note(NATS, "router", 5.0)
    assert math.isnan(measured.ratio(NATS, "router", "nginx"))
