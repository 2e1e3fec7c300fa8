"""One look at a server that somebody else runs: does it serve?

vLLM and llama.cpp answer /health; a server that has no such page, such as a gateway, is asked for its models. Called by the
external backend's watchers.
"""

import asyncio
from dataclasses import dataclass

import aiohttp

from hostler_provisioner.local.steps import Answer

_ABSENT = frozenset({401, 403, 404, 405, 501})


@dataclass(frozen=True, slots=True)
class Look:
    """What a server said.

    Attributes:
        answer: As a health check counts it.
        detail: The same in a few words.
    """

    answer: Answer
    detail: str


async def look(session: aiohttp.ClientSession, url: str, key: str, timeout_seconds: float) -> Look:
    """Ask a server whether it serves."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with asyncio.timeout(timeout_seconds):
            status = await _status(session, f"{url}/health", headers)
            if status in _ABSENT:
                status = await _status(session, f"{url}/v1/models", headers)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Look(Answer.NONE, f"{url} does not answer: {str(error) or 'no reply in time'}")
    if status == 200:
        return Look(Answer.OK, f"{url} serves")
    why = "refuses the key" if status in (401, 403) else f"answers with status {status}"
    return Look(Answer.NOT_READY, f"{url} {why}")


async def _status(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        return response.status
