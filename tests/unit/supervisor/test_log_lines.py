import pytest

from hostler_cli.supervisor.log_lines import render


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("plain words", "api-1    | plain words", id="plain text as it is"),
        pytest.param(
            '{"timestamp":"2026-11-21T10:11:12.345678Z","level":"info","event":"job created","job":"j1","ms":3}',
            "api-1    | 10:11:12.345 info  job created  job=j1 ms=3",
            id="a record in the order of reading",
        ),
        pytest.param(
            '{"event":"refused","level":"warning","reason":"no room","ok":false,"none":null,"gpus":[1,2]}',
            'api-1    | warning refused  reason="no room" ok=false gpus=[1,2]',
            id="values with spaces are quoted, nulls left out",
        ),
        pytest.param(
            '{"event":"bug","level":"error","exception":"Traceback\\n  boom\\n"}',
            "api-1    | error bug\napi-1    | Traceback\napi-1    |   boom",
            id="a traceback on lines of its own",
        ),
        pytest.param('{"half": ', 'api-1    | {"half": ', id="broken record as it is"),
        pytest.param("[1]", "api-1    | [1]", id="json that is no record"),
    ],
)
def test_a_line_is_rendered_for_people(line: str, expected: str) -> None:
    assert expected == render("api-1", line, width=8, colour=False)


def test_colour_is_used_only_where_asked() -> None:
    line = '{"event":"bug","level":"error"}'
    assert "\x1b[" in render("api-1", line, width=8, colour=True)
    assert "\x1b[" not in render("api-1", line, width=8, colour=False)
