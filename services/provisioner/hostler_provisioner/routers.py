"""Asking the routers how many requests they still have on a replica that is draining.

A router counts only if it has seen the draining itself: until then it may still send new requests there, so it is asked with
the sequence of that event and answers for at least that state. A router that is registered but does not answer leaves the
count unknown; its registration runs out by itself when it is dead.
"""

import asyncio
from collections.abc import Mapping

from hostler_bus.errors import HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.drain import InFlightAnswer, InFlightQuestion

_ANSWER_SECONDS = 1.0


async def in_flight(bus: Bus, draining: Mapping[str, int]) -> dict[str, int]:
    """Requests under way per draining replica; a replica of which some router could not be asked is absent.

    Args:
        bus: To ask through.
        draining: Sequence of the job's log at which each replica was draining, by replica id.
    """
    if not draining:
        return {}
    routers = await bus.bucket(subjects.BUCKET_ROUTERS).keys()
    counts: dict[str, int] = {}
    for replica_id, seq in draining.items():
        question = InFlightQuestion(replica_id=replica_id, seq=seq).model_dump_json().encode()
        answers = await asyncio.gather(*(_ask(bus, router, question) for router in routers))
        known = [answer for answer in answers if answer is not None]
        if len(known) == len(answers):
            counts[replica_id] = sum(known)
    return counts


async def _ask(bus: Bus, router: str, question: bytes) -> int | None:
    try:
        data = await bus.request(subjects.router_in_flight(router), question, timeout_seconds=_ANSWER_SECONDS)
    except (NoResponder, RequestTimeout, HandlerFailed):
        return None
    answer = InFlightAnswer.model_validate_json(data)
    return answer.in_flight if answer.up_to_date else None
