"""The head of a request as a replica gets it: made anew, so that nothing of a client's head reaches it but what is meant for it. Pure."""

from typing import Final

from hostler_router.asked import Asked
from hostler_router.exchange import Exchange
from hostler_router.upload_spool import FormBody
from hostler_router.wire.addresses import Address

_UPSTREAM_ROUTES: Final = {"/v1/tokenize": b"/tokenize", "/v1/detokenize": b"/detokenize"}
"""Where runtimes have a route elsewhere than the router."""
_HEAD: Final = (
    b"%bcontent-type: %b\r\n%b\r\naccept: %b\r\naccept-encoding: identity\r\n"
    b"user-agent: hostler-router\r\nx-request-id: %b\r\n%b\r\n"
)


_JSON_HEAD: Final = (
    b"%bcontent-type: application/json\r\ncontent-length: %d\r\naccept: application/json\r\n"
    b"accept-encoding: identity\r\nuser-agent: hostler-router\r\nx-request-id: %b\r\n%b\r\n"
)


def json_head(exchange: Exchange, address: Address, *, key: str | None, length: int) -> bytes:
    """`upstream_head` as nearly all need it: JSON of this length is sent, and JSON is wanted."""
    return _JSON_HEAD % (
        address.begins.get(exchange.route) or _begin(address, exchange.route),
        length,
        exchange.request_id.encode(),
        b"" if key is None and exchange.trace is None else _more(exchange, key, exchange.trace),
    )


def upstream_head(
    asked: Asked,
    exchange: Exchange,
    address: Address,
    *,
    key: str | None,
    body: bytes | FormBody,
    trace: str | None = None,
) -> bytes:
    """The head, with its blank line.

    Args:
        asked: What is asked for.
        exchange: The course of it.
        address: Of the replica.
        key: That the replica asks for; None where it asks for none.
        body: That follows.
        trace: The `traceparent` of this try, where it has one; else it is the request's.
    """
    if isinstance(body, FormBody):
        content_type, accept, length = body.content_type.encode("latin-1"), b"*/*", body.length
    else:
        content_type, accept, length = b"application/json", b"application/json", len(body)
    return _HEAD % (
        address.begins.get(exchange.route) or _begin(address, exchange.route),
        content_type,
        b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length,
        b"text/event-stream" if asked.stream else accept,
        exchange.request_id.encode(),
        _more(exchange, key, trace or exchange.trace),
    )


def _begin(address: Address, route: str) -> bytes:
    """The first two lines; of each replica they are the same for all requests, and few are the routes."""
    path = _UPSTREAM_ROUTES.get(route) or route.encode()
    begin = address.begins[route] = b"POST %b%b HTTP/1.1\r\n%b" % (address.base, path, address.host_line)
    return begin


def _more(exchange: Exchange, key: str | None, traceparent: str | None) -> bytes:
    """Headers that only some requests have."""
    more = b"" if key is None else b"authorization: Bearer %b\r\n" % key.encode()
    if traceparent is not None:
        more += b"traceparent: %b\r\n" % traceparent.encode()
        if exchange.tracestate is not None:
            more += b"tracestate: %b\r\n" % exchange.tracestate.encode()
    return more
