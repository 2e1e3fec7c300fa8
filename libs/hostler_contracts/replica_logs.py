"""The question for what a replica wrote, which the api asks the provisioner of the replica's cluster."""

from typing import Final

from pydantic import Field

from hostler_contracts.envelope import Contract

LOG_BYTES_MAX: Final = 128 * 1024
"""Most of a log that one answer holds. Every byte of it may take six in JSON, and NATS takes messages of one megabyte."""
LOG_LINES_MAX: Final = 10_000


class LogQuestion(Contract):
    """Asked by an api.

    Attributes:
        replica_id: Whose log.
        tail_lines: How many of the last lines, where `after` is not given.
        after: What comes behind this place, which an earlier answer named.
    """

    replica_id: str
    tail_lines: int = Field(default=200, ge=0, le=LOG_LINES_MAX)
    after: int | None = Field(default=None, ge=0)


class LogAnswer(Contract):
    """Answered by a provisioner.

    Attributes:
        found: Whether there is a log of that replica.
        text: Whole lines.
        next: The place behind them.
        ended: Whether nothing more will be written.
    """

    found: bool
    text: str = ""
    next: int = 0
    ended: bool = False
