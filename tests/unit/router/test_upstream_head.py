import pytest

from hostler_router.bodies import read_request
from hostler_router.exchange import Exchange
from hostler_router.upstream_head import json_head, upstream_head
from hostler_router.wire.addresses import read_address


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/tokenize"])
@pytest.mark.parametrize("key", [None, "sk-replica"])
@pytest.mark.parametrize("trace", [(None, None), ("00-ab-cd-01", None), ("00-ab-cd-01", "vendor=1")])
@pytest.mark.parametrize("url", ["http://10.0.0.7:8000", "https://models.example/team/"])
def test_the_head_of_a_request_for_json_is_what_the_longer_way_writes(
    route: str, key: str | None, url: str, trace: tuple[str | None, str | None]
) -> None:
    body = b'{"model":"demo","messages":[]}'
    asked, address = read_request(body, may_stream=True), read_address(url)
    exchange = Exchange("request-1", route, 0.0)
    exchange.trace, exchange.tracestate = trace
    head = json_head(exchange, address, key=key, length=len(body))
    assert head == upstream_head(asked, exchange, read_address(url), key=key, body=body)
    assert head == json_head(exchange, address, key=key, length=len(body))


def test_a_route_that_runtimes_have_elsewhere_is_asked_for_there() -> None:
    exchange = Exchange("request-1", "/v1/tokenize", 0.0)
    head = json_head(exchange, read_address("http://10.0.0.7:8000/base"), key=None, length=2)
    assert head.startswith(b"POST /base/tokenize HTTP/1.1\r\nhost: 10.0.0.7:8000\r\n")
