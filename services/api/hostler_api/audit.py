"""The record of who did what: written before the deed, read by admins.

`AuditLog.record` is called by whatever changes keys, projects, masters or profiles; where the entry can't be stored the deed does not
happen. Refused logins come in crowds, so `RefusedLogins` counts them and writes one entry per kind every few seconds.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from hostler_api.access import Caller
from hostler_bus.errors import BusError
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.audit import (
    NO_PROJECT,
    AuditEntry,
    AuditRecordedV1,
    UndecodableAudit,
    decode_audit,
    encode_audit,
)
from hostler_contracts.credentials import Refused
from hostler_contracts.envelope import TraceContext
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger

_READ_AT_ONCE: Final = 500
_FLUSH_SECONDS: Final = 5.0
_KINDS_MAX: Final = 100
"""Kinds of refused logins between two flushes; what is beyond them is counted as one kind of its own."""


class AuditLog:
    """Appends to the AUDIT stream and reads it."""

    def __init__(self, bus: Bus, *, source: str, clock: Clock, logger: Logger | None = None) -> None:
        self._logger: Logger = logger or structlog.get_logger()
        self._bus = bus
        self._source = source
        self._clock = clock

    async def record(
        self,
        caller: Caller,
        action: str,
        *,
        project: str | None,
        target: str,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Write down what `caller` is about to do; `details` must hold no secret.

        Raises:
            StreamFull: there is no room.
            BusUnavailable: it could not be stored in time.
        """
        entry = AuditEntry(
            action=action,
            actor_key_id=caller.key.key_id,
            target=target,
            at=self._clock.now(),
            details=details or {},
        )
        await self.append(entry, project, correlation_id=caller.request_id, trace=caller.trace)

    async def append(
        self,
        entry: AuditEntry,
        project: str | None,
        *,
        correlation_id: str | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """Store an entry."""
        event = AuditRecordedV1(
            id=new_id(),
            source=self._source,
            subject=entry.target or NO_PROJECT,
            time=self._clock.now(),
            project=project or NO_PROJECT,
            correlationid=correlation_id,
            traceparent=None if trace is None else trace.traceparent,
            tracestate=None if trace is None else trace.tracestate,
            data=entry,
        )
        await self._bus.append(
            subjects.audit(event.project, entry.action), encode_audit(event), msg_id=event.id
        )

    async def page(
        self, *, project: str | None, action: str | None, before: int | None, limit: int
    ) -> tuple[tuple[tuple[int, AuditRecordedV1], ...], bool]:
        """Entries with a sequence below `before`, newest first, each with its sequence; and whether there are more."""
        last = await self._bus.last(subjects.AUDIT, subjects.AUDIT_SUBJECTS)
        end = 0 if last is None else last.seq
        if before is not None:
            end = min(end, before - 1)
        found: list[tuple[int, AuditRecordedV1]] = []
        while end > 0 and len(found) <= limit:
            begin = max(end - _READ_AT_ONCE, 0)
            read = [item async for item in self._between(begin, end)]
            found += [
                (seq, event)
                for seq, event in reversed(read)
                if project in (None, event.project) and action in (None, event.data.action)
            ]
            end = begin
        return tuple(found[:limit]), len(found) > limit

    async def _between(self, after_seq: int, last_seq: int) -> AsyncIterator[tuple[int, AuditRecordedV1]]:
        async for message in self._bus.history(subjects.AUDIT, subjects.AUDIT_SUBJECTS, after_seq=after_seq):
            if message.seq > last_seq:
                return
            try:
                yield message.seq, decode_audit(message.data)
            except UndecodableAudit as error:
                self._logger.warning("audit.undecodable", seq=message.seq, reason=str(error))


@dataclass(slots=True)
class _Refusals:
    first_at: datetime
    count: int = 0


class RefusedLogins:
    """Counts refused logins and writes them down now and then, so that a storm of them can't fill the disk."""

    def __init__(self, audit: AuditLog, clock: Clock, logger: Logger) -> None:
        self._audit = audit
        self._clock = clock
        self._logger = logger
        self._kinds: dict[tuple[str, str, str, str], _Refusals] = {}

    def note(self, refused: Refused, address: str) -> None:
        """Somebody presented a key from `address` and was turned away."""
        project = refused.key.project if refused.key else ""
        key_id = refused.key.key_id if refused.key else ""
        kind = (refused.refusal.name.lower(), project, key_id, address)
        if kind not in self._kinds and len(self._kinds) >= _KINDS_MAX:
            kind = ("many", "", "", "")
        self._kinds.setdefault(kind, _Refusals(self._clock.now())).count += 1

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what was counted; what can't be stored is logged, because nothing waits for it."""
        kinds, self._kinds = self._kinds, {}
        for (reason, project, key_id, address), refusals in kinds.items():
            entry = AuditEntry(
                action="login.refused",
                actor_key_id=key_id or None,
                target=key_id,
                at=refusals.first_at,
                count=refusals.count,
                details={"reason": reason, "address": address},
            )
            try:
                await self._audit.append(entry, project or None)
            except BusError as error:
                self._logger.warning(
                    "audit.not_written", action=entry.action, count=refusals.count, reason=str(error)
                )
