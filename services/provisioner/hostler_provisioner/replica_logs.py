"""Answers the apis that ask what a replica wrote, for the cluster of one backend.

Only the provisioner that acts for the cluster answers, because the others may stand on another machine; whoever waits for the lease
serves nothing.
"""

from contextlib import suppress
from typing import Final

from hostler_bus.errors import BusError
from hostler_bus.leases import Lease
from hostler_bus.port import Bus, Served
from hostler_contracts import subjects
from hostler_contracts.replica_logs import LogAnswer, LogQuestion
from hostler_kit.clock import Clock
from hostler_provisioner.backend import Backend

_LOOK_SECONDS: Final = 0.5


class ReplicaLogs:
    """The answering side."""

    def __init__(self, bus: Bus, backend: Backend, lease: Lease, clock: Clock) -> None:
        self._bus = bus
        self._backend = backend
        self._lease = lease
        self._clock = clock
        self._served: Served | None = None

    async def run(self) -> None:
        """Answer while the lease is held, until cancelled."""
        while True:
            # Without the bus nobody can ask; the next look tries again.
            with suppress(BusError):
                await self._look()
            await self._clock.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        if self._lease.held and self._served is None:
            subject = subjects.provisioner_logs(self._backend.cluster)
            self._served = await self._bus.serve(subject, self.answer)
        elif not self._lease.held and self._served is not None:
            served, self._served = self._served, None
            await served.close()

    async def answer(self, data: bytes) -> bytes:
        """One answer."""
        question = LogQuestion.model_validate_json(data)
        part = await self._backend.log(
            question.replica_id, tail_lines=question.tail_lines, after=question.after
        )
        if part is None:
            return LogAnswer(found=False).model_dump_json().encode()
        answer = LogAnswer(found=True, text=part.text, next=part.next, ended=part.ended)
        return answer.model_dump_json().encode()
