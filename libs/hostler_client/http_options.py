"""How both clients set up httpx2 for an address."""

import ssl
import time
from collections.abc import Iterator

import httpx2

from hostler_client.connection import is_loopback, is_plain
from hostler_client.jobs_api import Call, Reply, ResultT

USER_AGENT = "hostler-client"
CONNECT_TIMEOUT_SECONDS = 10.0


def verify(url: str) -> ssl.SSLContext | bool:
    """What is asked of the server's certificate.

    For plain http an empty trust store, which costs nothing and fits no certificate at all: reading the machine's own would
    take longer than the request.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain(url) else True


def trust_env(url: str) -> bool:
    """Whether proxies that the environment names are used."""
    return not is_loopback(url)


def timeout(seconds: float) -> httpx2.Timeout:
    """Silence that is borne before a try counts as failed."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT_SECONDS))


def patience(call: Call[ResultT], usual: httpx2.Timeout) -> httpx2.Timeout:
    """How long the answer to a request may take."""
    return usual if call.timeout_seconds is None else timeout(call.timeout_seconds)


def headers(call: Call[ResultT], connection_headers: dict[str, str]) -> dict[str, str]:
    """Headers of one request."""
    return {"User-Agent": USER_AGENT, "Accept": "application/json"} | connection_headers | dict(call.headers)


def reply(response: httpx2.Response) -> Reply:
    """A response whose body was read, as a value."""
    names = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, names, response.content)


def unreachable_text(url: str, error: httpx2.HTTPError) -> str:
    """Why no answer came, for people."""
    why = str(error) or type(error).__name__
    return f"no answer from {url}: {why}"


class UntilDeadline(httpx2.SyncByteStream):
    """A body that ends in a timeout at the deadline even while keep-alives arrive."""

    def __init__(self, body: httpx2.SyncByteStream, deadline: float) -> None:
        self._body = body
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            yield chunk
            if time.monotonic() >= self._deadline:
                raise httpx2.ReadTimeout("the deadline of the wait has passed")

    def close(self) -> None:
        """Close the body."""
        self._body.close()
