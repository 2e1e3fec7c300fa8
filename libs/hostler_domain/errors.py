"""What can go wrong, as the domain names it.

The api renders these as problem documents, the bus maps the two `Temporary`/`Permanent` kinds to redelivery or to giving
up. A refusal that a user caused always names the field, so that it can be mended without reading code.
"""

from dataclasses import dataclass


class HostlerError(Exception):
    """Root of every error that Hostler raises on purpose."""


class TemporaryError(HostlerError):
    """It did not work now and may work later; try again after `delay_seconds`."""

    def __init__(self, message: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.delay_seconds = delay_seconds


class PermanentError(HostlerError):
    """It will not work however often it is tried."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    Attributes:
        field: Dotted path as the user wrote it, such as `scaling.max_replicas`.
        message: What is wrong and what would be right, as a sentence.
    """

    field: str
    message: str


class InvalidFields(HostlerError):
    """A request whose fields don't make sense; carries every mistake that was found, not only the first."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class NotFound(HostlerError):
    """What was named does not exist, or not for this caller."""


class Conflict(HostlerError):
    """What was asked does not fit the present state."""


class IllegalTransition(HostlerError):
    """A state machine was given an event that its table has no row for: a bug of the writer, never of a user."""
