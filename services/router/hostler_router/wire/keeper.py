"""What a client's connection needs of the server that made it; told apart so that each can be read, and tested, without the other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hostler_router.wire.heads import Head
from hostler_router.wire.outbox import Outbox
from hostler_router.wire.reply import Reply, Sink

if TYPE_CHECKING:
    from hostler_router.wire.client_connection import ClientConnection

Begin = Callable[[Head, Reply], Sink | None]


class Keeper(Protocol):
    """What a connection asks of its server."""

    closing: bool
    date_line: bytes
    """The `date` header as of this second."""
    outbox: Outbox
    keep_alive_seconds: float
    head_timeout_seconds: float

    def begin(self, head: Head, reply: Reply) -> Sink | None:
        """Take a request; None where it was answered at once."""

    def refuse(self, message: str) -> tuple[bytes, bytes]:
        """Content type and content of what is said to one who does not speak HTTP."""

    def now(self) -> float:
        """Monotonic seconds."""

    def opened(self, connection: "ClientConnection") -> None:
        """A connection was made."""

    def linger(self, connection: "ClientConnection") -> None:
        """Hang up on it shortly."""

    def closed(self, connection: "ClientConnection") -> None:
        """It is gone."""
