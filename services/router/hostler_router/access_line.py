"""A line of the access log without anything that only some have.

A struct of msgspec, so it stands apart from what can be compiled (pyproject.toml says which modules are).
"""

from datetime import datetime

import msgspec


class AccessLine(msgspec.Struct, gc=False):
    """A line without anything that only some have, which is written in a fifth of the time."""

    request_id: str
    route: str
    job: str | None
    replica: str | None
    status: int
    outcome: str
    stream: bool
    tries: int
    ms: float
    event: str
    service: str
    level: str
    timestamp: datetime
