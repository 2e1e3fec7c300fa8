"""Who leads, read from what a service says about its readiness."""

import json

import pytest

from hostler_cli.supervisor.probes import role_in


def readiness(**details: str) -> bytes:
    return json.dumps(
        {"checks": {name: {"ok": True, "detail": text} for name, text in details.items()}}
    ).encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(readiness(bus="", projections="leader"), "leader", id="it leads"),
        pytest.param(readiness(bus="", projections="standing by"), "standing by", id="another leads"),
        pytest.param(readiness(a="standing by", b="leader"), "leader", id="it leads one of its clusters"),
        pytest.param(readiness(bus=""), None, id="it has no lease"),
        pytest.param(readiness(projections="reading the log"), None, id="it has yet to read the log"),
        pytest.param(b"", None, id="no answer"),
        pytest.param(b"[]", None, id="another answer"),
        pytest.param(b'{"checks": {"bus": 1}}', None, id="another shape"),
    ],
)
def test_the_role_of_a_process_is_what_its_checks_say(answer: bytes, expected: str | None) -> None:
    assert role_in(answer) == expected
