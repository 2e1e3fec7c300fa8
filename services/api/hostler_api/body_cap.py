"""Refuses a request body that is too large before anything reads it: by its announced length, or while it comes."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler_api.problem_catalogue import TOO_LARGE, Occurrence

BODY_BYTES_MAX = 1024 * 1024
"""Everything that the api takes is a description of something; the largest a user could mean is far below this."""


class BodyCap:
    """Holds a body until it is complete, and lets the application have it only if it is no larger than allowed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        answer: Callable[[Request, Occurrence], Response],
        bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._app = app
        self._answer = answer
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > self._bytes_max:
            await self._refuse(scope, receive, send)
            return
        held: list[Message] = []
        size = 0
        while not held or (held[-1]["type"] == "http.request" and held[-1].get("more_body")):
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._bytes_max:
                await self._refuse(scope, receive, send)
                return
            held.append(message)
        held.reverse()

        async def replay() -> Message:
            return held.pop() if held else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        occurrence = Occurrence(TOO_LARGE, f"a request may have at most {self._bytes_max} bytes")
        await self._answer(Request(scope), occurrence)(scope, receive, send)
