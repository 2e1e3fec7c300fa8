"""The head of a request as a replica gets it: made anew, so that nothing of a client's head reaches it but what is meant for it. Pure."""

from typing import Final

from hostler_router.bodies import Asked
from hostler_router.exchange import Exchange
from hostler_router.upload_spool import FormBody
from hostler_router.wire.addresses import Address

_UPSTREAM_ROUTES: Final = {"/v1/tokenize": b"/tokenize", "/v1/detokenize": b"/detokenize"}
"""Where runtimes have a route elsewhere than the router."""


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
    form = isinstance(body, FormBody)
    accept = b"text/event-stream" if asked.stream else b"*/*" if form else b"application/json"
    length = body.length if isinstance(body, FormBody) else len(body)
    lines = [
        b"POST ",
        address.base,
        _UPSTREAM_ROUTES.get(exchange.route) or exchange.route.encode(),
        b" HTTP/1.1\r\n",
        address.host_line,
        b"content-type: ",
        asked.content_type.encode("latin-1"),
        b"\r\ntransfer-encoding: chunked" if length is None else b"\r\ncontent-length: %d" % length,
        b"\r\naccept: ",
        accept,
        b"\r\naccept-encoding: identity\r\nuser-agent: hostler-router\r\nx-request-id: ",
        exchange.request_id.encode(),
        b"\r\n",
    ]
    if key is not None:
        lines += (b"authorization: Bearer ", key.encode(), b"\r\n")
    if (traceparent := trace or exchange.trace) is not None:
        lines += (b"traceparent: ", traceparent.encode(), b"\r\n")
        if exchange.tracestate is not None:
            lines += (b"tracestate: ", exchange.tracestate.encode(), b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
