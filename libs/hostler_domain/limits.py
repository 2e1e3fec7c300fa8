"""How much of inference a key or a project may use at once and in a minute, and which bounds make sense."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from hostler_domain.errors import FieldError

LIMIT_MAX: Final = 1_000_000_000
"""Far above what anybody serves, and small enough to be counted exactly in a double."""
LIMIT_FIELDS: Final = ("requests_per_minute", "tokens_per_minute", "concurrency")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the use of inference; None is no bound.

    Attributes:
        requests_per_minute: How many requests may begin in a minute.
        tokens_per_minute: How many tokens, of prompts and of answers, may be used in a minute.
        concurrency: How many requests may be under way at once.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def __bool__(self) -> bool:
        """Whether anything is bounded; every request asks."""
        return (
            self.requests_per_minute is not None
            or self.tokens_per_minute is not None
            or self.concurrency is not None
        )

    def items(self) -> Iterator[tuple[str, int | None]]:
        """Every bound with its field's name."""
        for field in LIMIT_FIELDS:
            yield field, getattr(self, field)


NO_LIMITS: Final = Limits()


def limit_errors(limits: Limits | None, prefix: str = "limits") -> Iterator[FieldError]:
    """Everything that does not make sense in `limits`."""
    for field, value in (limits or NO_LIMITS).items():
        if value is not None and not 1 <= value <= LIMIT_MAX:
            yield FieldError(
                f"{prefix}.{field}", f"must be from 1 to {LIMIT_MAX}, or null for no bound; got {value}"
            )


def wider_fields(limits: Limits | None, than: Limits | None) -> Iterator[str]:
    """The names of the bounds in which `limits` leaves more room than `than` does."""
    bounds = dict((than or NO_LIMITS).items())
    for field, value in (limits or NO_LIMITS).items():
        bound = bounds[field]
        if bound is not None and (value is None or value > bound):
            yield field


def limits_text(limits: Limits | None) -> str:
    """For the audit: `requests_per_minute=10 concurrency=3`, or `none`."""
    bounds = (limits or NO_LIMITS).items()
    return " ".join(f"{field}={value}" for field, value in bounds if value is not None) or "none"


def merged_limits(present: Limits | None, changes: Mapping[str, int | None] | None) -> Limits | None:
    """`present` after a JSON merge patch; None for `changes` takes all bounds away, as None for a bound does for that one."""
    if changes is None:
        return None
    # Names come from a body whose fields were checked; a plain update needs no knowledge of them.
    return replace(present or NO_LIMITS, **changes) or None
