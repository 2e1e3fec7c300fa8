"""Everything that can go wrong at this api: one catalogue, which each surface renders in its own dialect.

`problem_for` is the only place where the domain's errors get a status. Nothing here knows HTTP's bodies.
"""

from dataclasses import dataclass

from hostler_bus.errors import BadKey, BusUnavailable, StreamFull
from hostler_domain.errors import Conflict, FieldError, HostlerError, InvalidFields, NotFound, TemporaryError


class Unauthorized(HostlerError):
    """The caller is not known."""


class Forbidden(HostlerError):
    """The caller is known and may not do this."""


class IdempotencyMismatch(HostlerError):
    """An idempotency key came again with another request."""


class Overtaken(HostlerError):
    """The job is not as the caller knew it."""


class NotOffered(HostlerError):
    """A dialect has this, and Hostler does not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error.

    Attributes:
        slug: Last part of its type's address.
        title: The same for every occurrence.
        status: Of the answer.
        meaning: What it says and what to do, for the page that its type leads to.
        retry_after_seconds: When trying again may help; None where it won't.
    """

    slug: str
    title: str
    status: int
    meaning: str
    retry_after_seconds: float | None = None


INVALID = Problem(
    "invalid-request",
    "The request is not valid",
    400,
    "Some fields make no sense. `errors` names each with what would be right; nothing was done.",
)
UNAUTHORIZED = Problem(
    "unauthorized",
    "The API key is missing or not valid",
    401,
    "Send a key as `Authorization: Bearer hsk_...` or `X-API-Key`; this one is missing, mistyped, unknown, revoked or expired.",
)
FORBIDDEN = Problem(
    "forbidden",
    "The API key may not do this",
    403,
    "The key is good but lacks the scope, or belongs to another project.",
)
NOT_FOUND = Problem(
    "not-found",
    "There is no such thing",
    404,
    "It does not exist, or not for this key: another project's jobs read as absent.",
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", "This method is not possible here", 405, "The address exists, with other methods."
)
CONFLICT = Problem(
    "conflict", "The present state does not allow it", 409, "Read what is there now, and decide again."
)
PRECONDITION_FAILED = Problem(
    "precondition-failed",
    "It is not as the caller knew it",
    412,
    "It changed since the revision that If-Match names. Read it again, and decide again; nothing was done.",
)
TOO_LARGE = Problem("too-large", "The request is too large", 413, "Nothing of it was read to the end.")
IDEMPOTENCY_MISMATCH = Problem(
    "idempotency-key-reused",
    "The idempotency key belongs to another request",
    422,
    "The same key came within 24 hours with another body. Use a new key for a new request.",
)
NOT_OFFERED = Problem(
    "not-offered",
    "Hostler does not offer this",
    501,
    "The system whose dialect this is has it, and Hostler does not. `detail` says what to do instead.",
)
UNAVAILABLE = Problem(
    "unavailable",
    "It can't be done right now",
    503,
    "The event log, or the service that was asked, did not answer in time. Send the same request again, with the same Idempotency-Key where it creates something.",
    retry_after_seconds=1.0,
)
STORAGE_FULL = Problem(
    "storage-full",
    "The event log has no room",
    503,
    "Nothing was stored and nothing is half-done. An operator has to make room.",
    retry_after_seconds=30.0,
)
INTERNAL = Problem(
    "internal",
    "Something went wrong inside",
    500,
    "A bug. It was logged under the request's id; please report it with that.",
)

CATALOGUE = {
    each.slug: each
    for each in (
        INVALID,
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        PRECONDITION_FAILED,
        TOO_LARGE,
        IDEMPOTENCY_MISMATCH,
        NOT_OFFERED,
        UNAVAILABLE,
        STORAGE_FULL,
        INTERNAL,
    )
}
BY_STATUS = {
    each.status: each for each in (INVALID, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE)
}
# The first row that fits: a subclass stands above its parent.
_BY_ERROR: tuple[tuple[type[HostlerError], Problem], ...] = (
    (InvalidFields, INVALID),
    (Unauthorized, UNAUTHORIZED),
    (Forbidden, FORBIDDEN),
    (NotFound, NOT_FOUND),
    (BadKey, NOT_FOUND),  # what can't be a name is the name of nothing
    (Conflict, CONFLICT),
    (Overtaken, PRECONDITION_FAILED),
    (IdempotencyMismatch, IDEMPOTENCY_MISMATCH),
    (NotOffered, NOT_OFFERED),
    (StreamFull, STORAGE_FULL),
    (BusUnavailable, UNAVAILABLE),
    (TemporaryError, UNAVAILABLE),
)


def problem_for(error: HostlerError) -> Problem:
    """The kind of problem that a domain error is."""
    return next((problem for kind, problem in _BY_ERROR if isinstance(error, kind)), INTERNAL)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One error as it happened, ready to be rendered.

    Attributes:
        problem: What kind it is.
        detail: What was wrong this time, as a sentence without secrets.
        errors: The fields at fault, where it is about fields.
    """

    problem: Problem
    detail: str
    errors: tuple[FieldError, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries in every dialect."""
        headers: dict[str, str] = {}
        if self.problem.retry_after_seconds is not None:
            headers["Retry-After"] = f"{max(round(self.problem.retry_after_seconds), 1)}"
        if self.problem is UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


def occurrence_of(error: HostlerError) -> Occurrence:
    """A domain error, ready to be rendered."""
    return Occurrence(
        problem_for(error), str(error), error.errors if isinstance(error, InvalidFields) else ()
    )
