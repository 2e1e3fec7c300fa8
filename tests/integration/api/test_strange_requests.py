"""Requests that no client means to send: each is refused in the form of the surface that it came to, and never with a 500."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest

from tests.integration.api.conftest import ADMIN_KEY
from tests.support.builders import NOW
from tests.support.served_api import served_api

AUTHORIZED = {"Authorization": f"Bearer {ADMIN_KEY}"}
JSON = {**AUTHORIZED, "Content-Type": "application/json"}
JOBS, WORKLOADS, DEPLOYMENTS = "/v1/jobs", "/api/v1/workloads/inferences", "/api/v2/external/inference/create"
SURFACES = (JOBS, WORKLOADS, DEPLOYMENTS)
LONG = "x" * 20_000
DEEP = b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
INVALID = {400, 422}

ROWS: tuple[tuple[str, str, str, bytes | None, dict[str, str], set[int]], ...] = (
    *((f"{m} {p}", m, p, None, AUTHORIZED, {405}) for m in ("OPTIONS", "TRACE", "PUT") for p in SURFACES),
    *((f"JSON cut off {p}", "POST", p, b'{"model": ', JSON, INVALID) for p in SURFACES),
    *((f"deep JSON {p}", "POST", p, DEEP, JSON, INVALID) for p in SURFACES),
    *((f"no UTF-8 {p}", "POST", p, b'{"model": "\xff\xfe"}', JSON, INVALID) for p in SURFACES),
    *((f"no object {p}", "POST", p, b"[1]", JSON, INVALID) for p in SURFACES),
    *((f"too large {p}", "POST", p, b" " * 1_100_000, JSON, {413}) for p in SURFACES),
    *(
        (f"XML {p}", "POST", p, b"<model/>", {**AUTHORIZED, "Content-Type": "text/xml"}, {*INVALID, 415})
        for p in SURFACES
    ),
    *((f"lone surrogate {p}", "POST", p, b'{"model": "\\ud800"}', JSON, INVALID) for p in SURFACES),
    *((f"endless number {p}", "POST", p, b'{"x": ' + b"9" * 5000 + b"}", JSON, INVALID) for p in SURFACES),
    *((f"NaN {p}", "POST", p, b'{"target_rps": NaN}', JSON, INVALID) for p in SURFACES),
    ("NUL in a path", "GET", "/v1/jobs/a%00b", None, AUTHORIZED, {404}),
    ("NUL in a pod's path", "GET", "/api/v1/workloads/a%00b", None, AUTHORIZED, {404}),
    ("NUL in a query", "GET", "/v1/jobs?project=%00", None, AUTHORIZED, {200, 400, 403, 404}),
    (
        "NUL in a deployment's query",
        "GET",
        "/api/v2/external/inference/get?deployment_id=%00",
        None,
        AUTHORIZED,
        {404},
    ),
    ("NUL in a profile", "GET", "/v1/hardware-profiles/%00", None, AUTHORIZED, {400, 404}),
    ("no percent encoding", "GET", "/v1/jobs/%zz%", None, AUTHORIZED, {404}),
    ("no UTF-8 in a path", "GET", "/v1/jobs/%ff%fe", None, AUTHORIZED, {404}),
    ("a slash in a name", "GET", "/v1/jobs/a%2Fb", None, AUTHORIZED, {404}),
    ("a path that climbs", "GET", "/v1/jobs/../../etc/passwd", None, AUTHORIZED, {404}),
    ("a long query", "GET", f"/v1/jobs?model={LONG}", None, AUTHORIZED, {400}),
    ("a long path", "GET", f"/v1/jobs/{LONG}", None, AUTHORIZED, {404}),
    ("the same parameter twice", "GET", "/v1/jobs?limit=1&limit=x", None, AUTHORIZED, {400}),
    ("a number beyond all bounds", "GET", f"/v1/jobs?limit={'9' * 5000}", None, AUTHORIZED, {400}),
    (
        "a sequence beyond all bounds",
        "GET",
        f"/v1/jobs/x/events?after={10**30}",
        None,
        AUTHORIZED,
        {400, 404},
    ),
    ("a method on a path that is no name", "DELETE", "/v1/api-keys/usage", None, AUTHORIZED, {405}),
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served_api(ADMIN_KEY, NOW) as found:
        yield found


def sent(
    address: str, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "statuses"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_strange_request_is_refused_in_its_surfaces_form(
    address: str, method: str, path: str, body: bytes | None, headers: dict[str, str], statuses: set[int]
) -> None:
    answer, text = sent(address, method, path, body, headers)
    assert answer.status in statuses, text[:500]
    document = json.loads(text)
    if answer.status < 400:
        return
    if path.startswith("/api/v2/external/"):
        assert (answer.headers["Content-Type"], set(document)) == ("application/json", {"detail"})
        assert document["detail"]
    elif path.startswith("/api/v1/"):
        assert answer.headers["Content-Type"] == "application/json"
        assert document["code"] == answer.status
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert document["status"] == answer.status
        assert document["detail"]
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/jobs", "GET, POST"),
        ("/v1/jobs/demo", "DELETE, GET, PATCH"),
        ("/v1/api-keys/usage", "GET"),
        ("/api/v1/workloads/batch", "POST"),
    ],
)
def test_a_405_names_every_method_of_the_path_and_no_other(address: str, path: str, methods: str) -> None:
    answer, _ = sent(address, "OPTIONS", path, None, AUTHORIZED)
    assert (answer.status, answer.headers["Allow"]) == (405, methods)


def test_head_is_answered_without_a_body(address: str) -> None:
    answer, text = sent(address, "HEAD", "/v1/jobs", None, AUTHORIZED)
    assert (answer.status, answer.headers["Content-Type"], text) == (405, "application/problem+json", b"")


def test_what_is_no_http_at_all_is_refused_as_json(address: str) -> None:
    answer, text = sent(address, "GET", "/v1/jobs?" + "x" * 70_000, None, AUTHORIZED)
    assert (answer.status, json.loads(text)["status"]) == (400, 400)
    assert answer.headers["Content-Type"] == "application/problem+json"
