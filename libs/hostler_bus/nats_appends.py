"""Appending much at little cost: no task, no timer and no subscription per message. `NatsBus.append_soon` is the only caller.

One subscription takes all answers, one timer looks after those that don't come, and what is begun in one turn of the event loop leaves in one
write. A message is tried once, because whoever stores so much keeps what was not answered and tries it again in its own time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from hostler_bus.errors import BadSubject, BusClosed, BusError, BusUnavailable
from hostler_bus.nats_calls import heed
from hostler_bus.nats_errors import FOREIGN, translate
from hostler_bus.nats_link import Link
from hostler_bus.port import APPEND_DEADLINE_SECONDS, Appended

_SUBJECTS_KNOWN_MAX: Final = 10_000
_MSG_ID: Final = Header.MSG_ID.value
_EXPECTED_STREAM: Final = Header.EXPECTED_STREAM.value


class _Answer(msgspec.Struct, gc=False):
    """What the server says to an append; read hundreds of times a second."""

    seq: int | None = None
    duplicate: bool = False
    error: dict[str, object] | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class _Begun:
    token: str
    subject: str
    data: bytes
    headers: dict[str, str]
    future: asyncio.Future[Appended]
    until: float


def outcome_of(answer: bytes, doing: str) -> Appended | BusError:
    """What the server says has become of a message; what does not say that it is stored says that it is not known to be."""
    try:
        read = _ANSWER.decode(answer)
    except msgspec.DecodeError as error:
        return BusUnavailable(f"{doing}: an answer that can't be read: {error}")
    if read.error is not None:
        try:
            APIError.from_error(read.error)  # which raises it
        except FOREIGN as error:
            return translate(error, doing)
        except (KeyError, TypeError):  # in words that the library does not know
            return BusUnavailable(f"{doing}: {read.error}")
    if read.seq is None:
        return BusUnavailable(f"{doing}: an answer without a sequence")
    return Appended(read.seq, read.duplicate)


class NatsAppends:
    """Messages on their way into their streams."""

    def __init__(
        self, link: Link, stream_of: Callable[[str], str], with_hint: Callable[[BusError], BusError]
    ) -> None:
        self._link = link
        self._stream_of = stream_of
        self._with_hint = with_hint
        self._streams: dict[str, str] = {}
        self._tokens = count()
        self._to_send: deque[_Begun] = deque()
        self._unanswered: dict[str, _Begun] = {}
        self._sending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._client: Client | None = None
        self._inbox = ""
        link.on_lost.add(self._lost)

    def begin(self, subject: str, data: bytes, msg_id: str) -> asyncio.Future[Appended]:
        """Send a message as soon as this turn of the event loop is over; the future comes to its answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        try:
            stream = self._stream(subject)
        except BadSubject as error:
            future.set_exception(error)
            return future
        if not self._link.connected:
            future.set_exception(self._not_connected(stream))
            return future
        begun = _Begun(
            token=str(next(self._tokens)),
            subject=subject,
            data=data,
            headers={_MSG_ID: msg_id, _EXPECTED_STREAM: stream},
            future=future,
            until=loop.time() + APPEND_DEADLINE_SECONDS,
        )
        self._unanswered[begun.token] = begun
        self._link.begin()
        self._to_send.append(begun)
        if self._sending is None:
            self._sending = loop.create_task(self._send())
        if self._timer is None:
            self._timer = loop.call_at(begun.until, self._look)
        return future

    async def _send(self) -> None:
        try:
            while self._to_send:
                begun = self._to_send.popleft()
                if begun.token not in self._unanswered:
                    continue  # the connection was lost meanwhile, and the caller knows
                try:
                    client = await self._link.client(0)
                    await self._listen(client)
                    reply = self._inbox + begun.token
                    await heed(client.publish(begun.subject, begun.data, reply=reply, headers=begun.headers))
                except FOREIGN as error:
                    self._end(begun, translate(error, self._doing(begun)))
                except BusError as error:
                    self._end(begun, error)
        finally:
            self._sending = None

    async def _listen(self, client: Client) -> None:
        """Have answers come back; each connection needs that once."""
        if client is self._client:
            return
        inbox = f"{client.new_inbox()}."
        await heed(client.subscribe(f"{inbox}*", cb=self._answered))
        self._client, self._inbox = client, inbox

    async def _answered(self, message: Msg) -> None:
        begun = self._unanswered.get(message.subject.rpartition(".")[2])
        if begun is None:
            return
        if message.headers and message.headers.get(Header.STATUS.value) == "503":
            self._end(begun, translate(NoStreamResponseError(), self._doing(begun)))
            return
        self._end(begun, outcome_of(message.data, self._doing(begun)))

    def _look(self) -> None:
        """Give up what was not answered in time; what was begun first comes first.

        The timer runs on when all is answered, since making one for every message would cost more than looking in vain.
        """
        now = asyncio.get_running_loop().time()
        self._timer = None
        for begun in tuple(self._unanswered.values()):
            if begun.until > now:
                self._timer = asyncio.get_running_loop().call_at(begun.until, self._look)
                return
            self._end(begun, self._with_hint(translate(TimeoutError(), self._doing(begun))))

    def _lost(self) -> None:
        """The connection is gone, and with it the answers; while it is being closed they may still come."""
        if self._link.finishing:
            return
        for begun in tuple(self._unanswered.values()):
            self._end(begun, BusUnavailable(f"{self._doing(begun)}: the connection to NATS was lost"))

    def _end(self, begun: _Begun, result: Appended | BusError) -> None:
        if self._unanswered.pop(begun.token, None) is None:
            return
        self._link.end()
        if begun.future.done():  # cancelled by whoever waited
            return
        if isinstance(result, Appended):
            begun.future.set_result(result)
        else:
            begun.future.set_exception(result)

    def _stream(self, subject: str) -> str:
        known = self._streams.get(subject)
        if known is None:
            if len(self._streams) >= _SUBJECTS_KNOWN_MAX:
                self._streams.clear()
            known = self._streams[subject] = self._stream_of(subject)
        return known

    def _not_connected(self, stream: str) -> BusError:
        if self._link.closing:
            return BusClosed("the connection to NATS was closed")
        return BusUnavailable(f"append to {stream}: not connected to NATS at {self._link.options.address}")

    def _doing(self, begun: _Begun) -> str:
        return f"append to {begun.headers[_EXPECTED_STREAM]}"
