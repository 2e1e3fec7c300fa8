"""What the head of a request says beside its path and key: which job it is for, how long it may take, whether it may wait.

Pure; called by the application and by the request. The first are the headers and the path of Lyceum's clients
(docs/dialects/lyceum.md); they mean the same from any client.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hostler_router.bodies import MODEL_LENGTH_MAX
from hostler_router.openai_errors import ASYNC_NOT_OFFERED, Refused, invalid

TIMEOUT_SECONDS_MIN: Final = 10.0
TIMEOUT_SECONDS_MAX: Final = 60.0

_ALIAS: Final = "/openai/v1/"
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_NO: Final = frozenset({"", "false", "0", "no"})
_OFF: Final = frozenset({"off", "false", "0", "no"})
_PRIORITIES: Final = frozenset({"", "interactive", "batch"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the headers say.

    Attributes:
        model: The job that is meant, whatever the body says; None leaves it to the body.
        timeout_seconds: For the whole request; None leaves it to the job.
        batch: It is one of many that nobody waits for, so others go before it.
        resume: Another replica may continue its stream where one fails.
    """

    model: str | None = None
    timeout_seconds: float | None = None
    batch: bool = False
    resume: bool = True

    def timeout_within(self, job_seconds: float) -> float:
        """How long the request may take: what it asks for, but never longer than its job allows."""
        return job_seconds if self.timeout_seconds is None else min(self.timeout_seconds, job_seconds)


NO_WISHES: Final = Wishes()
_NAMES: Final = frozenset({b"x-async", b"x-deployment-id", b"x-priority", b"x-resume", b"x-timeout-s"})


def canonical(path: str) -> str:
    """The path that a route is known by: `/openai/v1/...` is `/v1/...`."""
    return path.removeprefix("/openai") if path.startswith(_ALIAS) else path


def read_wishes(headers: Mapping[bytes, bytes]) -> Wishes:
    """What the headers of a request for inference say; names in lower case.

    Raises:
        Refused: one of them makes no sense, or asks for what is not offered.
    """
    if _NAMES.isdisjoint(headers):
        return NO_WISHES
    if _text(headers, b"x-async").lower() not in _NO:
        raise Refused(ASYNC_NOT_OFFERED)
    model = _text(headers, b"x-deployment-id")
    if len(model) > MODEL_LENGTH_MAX:
        message = f"X-Deployment-ID must have at most {MODEL_LENGTH_MAX} characters."
        raise Refused(invalid(message, code="invalid_value", param="X-Deployment-ID"))
    priority = _text(headers, b"x-priority").lower()
    if priority not in _PRIORITIES:
        message = "X-Priority must be 'interactive' or 'batch'."
        raise Refused(invalid(message, code="invalid_value", param="X-Priority"))
    return Wishes(
        model or None,
        _timeout(_text(headers, b"x-timeout-s")),
        batch=priority == "batch",
        resume=_text(headers, b"x-resume").lower() not in _OFF,
    )


def _timeout(text: str) -> float | None:
    if not text:
        return None
    if not _SECONDS.fullmatch(text):
        message = "X-Timeout-S must be a number of seconds."
        raise Refused(invalid(message, code="invalid_value", param="X-Timeout-S"))
    return min(max(float(text), TIMEOUT_SECONDS_MIN), TIMEOUT_SECONDS_MAX)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").strip()
