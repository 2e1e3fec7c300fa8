"""What the stages of a request may ask of the request itself, which has the last word on its end."""

from collections.abc import Callable
from typing import Protocol

from hostler_router.openai_errors import ErrorReply


class Request(Protocol):
    """A request."""

    @property
    def over(self) -> bool:
        """It has ended."""

    def arm(self) -> None:
        """Be asked in time for the next deadline, which may be another than before."""

    def guard(self, act: Callable[[], None]) -> None:
        """Do something that may refuse the request, and in which a bug is the end of it."""

    def answered(self, send: Callable[[], None]) -> None:
        """A replica has answered it; `send` sends the end."""

    def turn_away(self, error: ErrorReply) -> None:
        """End it, because there is no place for it."""

    def fail(self, error: ErrorReply) -> None:
        """End it with an error that nobody else can put right."""

    def bug(self) -> None:
        """End it, because an exception that nobody expected is being handled."""
