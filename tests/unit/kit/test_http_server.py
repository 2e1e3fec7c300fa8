"""The HTTP server that every service uses."""

import asyncio
import socket

from starlette.responses import PlainTextResponse

from hostler_kit.http import HttpServer


async def test_a_small_answer_does_not_wait_for_the_one_before_to_be_acknowledged() -> None:
    server = HttpServer(PlainTextResponse("yes"), host="127.0.0.1", port=0, drain_timeout_seconds=1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    (connection,) = server._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    await writer.wait_closed()
    await server.stop()


async def test_what_is_no_http_is_refused_as_json() -> None:
    server = HttpServer(PlainTextResponse("yes"), host="127.0.0.1", port=0, drain_timeout_seconds=1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/problem+json" in answer
    writer.close()
    await writer.wait_closed()
    await server.stop()
