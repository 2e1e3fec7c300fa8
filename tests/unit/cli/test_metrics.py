"""`hostler metrics`: lines, charts, CSV."""

from datetime import timedelta

import pytest
import typer

from hostler_cli.metrics import chart, csv_rows, span, table_rows
from hostler_client import JobMetrics
from tests.support.builders import NOW

FOUND = JobMetrics.model_validate(
    {
        "job_id": "j",
        "start": NOW,
        "end": NOW + timedelta(minutes=3),
        "series": [
            {
                "name": "requests",
                "samples": [
                    {"at": NOW + timedelta(minutes=number + 1), "value": value}
                    for number, value in enumerate((4, None, 8))
                ],
            },
            {"name": "queued", "samples": [{"at": NOW, "value": None}] * 3},
        ],
    }
)


def test_a_line_has_the_figures_and_a_chart_with_a_dot_for_a_gap() -> None:
    first, second = table_rows(FOUND)
    assert first[:5] == ("requests", "8", "4", "6", "8")
    assert len(first[5]) == 3
    assert first[5][1] == "\N{MIDDLE DOT}"
    assert second[:5] == ("queued", "-", "-", "-", "-")


def test_csv_leaves_a_gap_empty() -> None:
    heading, *rows = csv_rows(FOUND)
    assert tuple(heading) == ("at", "requests", "queued")
    assert [tuple(row[1:]) for row in rows] == [("4", ""), ("", ""), ("8", "")]


def test_a_chart_of_zeros_is_flat() -> None:
    assert len(set(chart([0, 0, 0]))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", timedelta(minutes=30)), ("6h", timedelta(hours=6)), ("7d", timedelta(days=7))],
)
def test_spans_of_time(text: str, expected: timedelta) -> None:
    assert expected == span(text)


@pytest.mark.parametrize("text", ["", "h", "6", "-1h", "6w", "0h", "9999999h", "\u0663h"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        span(text)


@pytest.mark.parametrize("text", ["59s", "4d", "73h"])
def test_a_span_outside_of_what_makes_sense_is_refused_with_both_ends(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="must be from 1m to 3d"):
        span(text, least=timedelta(minutes=1), most=timedelta(days=3))
    assert span("72h", least=timedelta(minutes=1), most=timedelta(days=3)) == timedelta(days=3)
