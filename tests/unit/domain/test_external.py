"""Which addresses a job may adopt, and what else must be right with them."""

import pytest

from hostler_domain.commands import spec_errors
from hostler_domain.external import ExternalServers, base_address, endpoint_at, endpoint_error, node_of
from tests.support.builders import spec


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "https://models.example.org",
        "http://10.1.2.3:80/team/a",
        "http://[::1]:8000",
        "http://vllm-0.vllm.svc.cluster.local:8000",
        "http://gpu7:8000",
    ],
)
def test_an_address_of_a_server_is_taken(url):
    assert endpoint_error(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "models.example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "http://",
        "http://user:password@example.org",
        "http://example.org?x=1",
        "http://example.org#x",
        "http://exa mple.org",
        "http://example.org\n",
        "http://example.org:0",
        "http://example.org:65536",
        "http://169.254.169.254",
        "http://169.254.1.2:8000/v1",
        "http://[fe80::1]",
        "http://[::ffff:169.254.169.254]",
        "http://[fe80::1%25eth0]",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://0251.0376.0251.0376",
        "http://169.254.43518",
        "http://0.0.0.0",
        "http://224.0.0.1",
    ],
)
def test_what_is_no_such_address_or_a_dangerous_one_is_refused(url):
    assert endpoint_error(url)


@pytest.mark.parametrize("written", ["http://a:1", "http://a:1/", "http://a:1/v1", " http://a:1/v1/ "])
def test_an_address_may_be_written_as_openai_clients_have_it(written):
    assert base_address(written) == "http://a:1"


def test_a_node_is_one_server_of_the_list():
    servers = ExternalServers(("http://a", "http://b"))
    assert [endpoint_at(servers, node_of(index)) for index in range(3)] == ["http://a", "http://b", None]


ONE = ExternalServers(("http://a",))
EXTERNAL = {"runtime": "external", "hardware_profile": "external", "maximum": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"external": ONE}, [], id="one-server"),
        pytest.param({}, ["external.endpoints"], id="none"),
        pytest.param({"external": ExternalServers(())}, ["external.endpoints"], id="an-empty-list"),
        pytest.param(
            {"external": ONE, "maximum": 2}, ["scaling.max_replicas"], id="more-replicas-than-servers"
        ),
        pytest.param({"external": ONE, "runtime": "llamacpp"}, ["external"], id="another-runtime"),
        pytest.param(
            {"external": ExternalServers(("http://a", "http://a"))},
            ["external.endpoints"],
            id="a-server-twice",
        ),
        pytest.param(
            {"external": ExternalServers(("http://a", "http://169.254.169.254"))},
            ["external.endpoints.1"],
            id="a-bad-one",
        ),
    ],
)
def test_a_job_with_servers_must_make_sense(fields, expected):
    assert [error.field for error in spec_errors(spec(**(EXTERNAL | fields)), None)] == expected
