import pytest

from hostler_domain.job import ExternalServers
from hostler_router.entries import Upstream, entry_of
from tests.support.builders import running_job


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"runtime": "vllm"}, None, id="our own takes any name, and our key"),
        pytest.param(
            {"runtime": "nim"}, Upstream("org/small", None), id="NIM knows one name, and has no key"
        ),
        pytest.param(
            {"runtime": "external", "external": ExternalServers(("http://gpu:8000",), "theirs", "a-secret")},
            Upstream("theirs", "a-secret"),
            id="an adopted one has its own of both",
        ),
        pytest.param(
            {"runtime": "external", "external": ExternalServers(("http://gpu:8000",))},
            Upstream("org/small", None),
            id="an adopted one that says nothing knows the model by its id",
        ),
    ],
)
def test_servers_are_called_by_the_name_that_they_know(
    fields: dict[str, object], expected: Upstream | None
) -> None:
    entry = entry_of(running_job(model="org/small", **fields))
    assert [endpoint.upstream for endpoint in entry.endpoints] == [expected]
