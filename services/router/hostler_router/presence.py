"""How the provisioner finds this router, and asks it what it still has on a replica that is being drained.

An entry in the bucket `routers` with a time to live, renewed three times as often, and a request subject. A router that dies
without a word is forgotten when its entry runs out; one that stops takes its entry away after its last request.
"""

import json
from collections.abc import Callable
from contextlib import suppress

from hostler_bus.errors import BusError
from hostler_bus.port import Bus, Served
from hostler_contracts import subjects
from hostler_contracts.drain import InFlightAnswer, InFlightQuestion
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.outstanding import Outstanding


class Presence:
    """This router's entry, and its answers."""

    def __init__(
        self,
        bus: Bus,
        outstanding: Outstanding,
        *,
        seen_seq: Callable[[], int],
        name: str,
        ttl_seconds: int,
        clock: Clock,
        logger: Logger,
    ) -> None:
        self._bus = bus
        self._bucket = bus.bucket(subjects.BUCKET_ROUTERS)
        self._outstanding = outstanding
        self._seen_seq = seen_seq
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._logger = logger
        self._value = json.dumps({"name": name, "started_at": clock.now().isoformat()}).encode()
        self._served: Served | None = None
        self._left = False

    async def enter(self) -> None:
        """Be found; to be called before the first request is taken.

        Raises:
            BusError: that did not work.
        """
        self._served = await self._bus.serve(subjects.router_in_flight(self._name), self._answer)
        await self._renew()

    async def run(self) -> None:
        """Stay found, until cancelled."""
        while True:
            await self._clock.sleep(self._ttl_seconds / 3)
            if self._left:
                continue
            try:
                await self._renew()
            except BusError as error:
                # Requests are served all the same; the entry comes back with the bus.
                self._logger.warning("presence.not_renewed", reason=str(error))

    async def leave(self) -> None:
        """Be found no more; to be called after the last request."""
        self._left = True
        with suppress(BusError):  # the entry runs out by itself
            await self._bucket.delete(self._name, deadline_seconds=self._ttl_seconds / 3)
        if self._served is not None:
            await self._served.close()

    async def _renew(self) -> None:
        await self._bucket.put(
            self._name, self._value, ttl_seconds=self._ttl_seconds, deadline_seconds=self._ttl_seconds / 3
        )

    async def _answer(self, data: bytes) -> bytes:
        """How many requests are under way on a replica, and whether this router knows already that it is draining."""
        question = InFlightQuestion.model_validate_json(data)
        answer = InFlightAnswer(
            in_flight=self._outstanding.left_on(question.replica_id),
            up_to_date=self._seen_seq() >= question.seq,
        )
        return answer.model_dump_json().encode()
