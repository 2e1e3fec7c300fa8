"""What can go wrong for a caller of the API, as exceptions to catch by kind."""

from dataclasses import dataclass

from hostler_client.models import Job


class ClientError(Exception):
    """Root of everything that this client raises on purpose."""


class Unreachable(ClientError):
    """No answer came, however often it was tried."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field of a request.

    Attributes:
        field: Dotted path, such as `scaling.max_replicas`.
        message: What is wrong and what would be right.
    """

    field: str
    message: str


class ApiError(ClientError):
    """The API refused; an RFC 9457 problem as an exception.

    Attributes:
        status: HTTP status.
        title: The kind of problem.
        detail: This occurrence of it.
        errors: The fields at fault.
        request_id: Under which the API logged it; None when the answer did not come from the API.
    """

    def __init__(
        self,
        *,
        status: int,
        title: str,
        detail: str = "",
        errors: tuple[FieldProblem, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{status} {title}" + (f": {detail}" if detail else ""))
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.request_id = request_id


class Invalid(ApiError):
    """The request itself is at fault; `errors` names the fields."""


class Unauthorized(ApiError):
    """The key is missing or not valid."""


class Forbidden(ApiError):
    """The key is valid and may not do this."""


class NotFound(ApiError):
    """There is no such thing, or not for this caller."""


class Conflict(ApiError):
    """The present state does not allow it; a name that is taken, for instance."""


class PreconditionFailed(ApiError):
    """The job is not at the revision that the change was meant for."""


class Unavailable(ApiError):
    """The API can't do it right now, and could not when it was tried again."""


_KINDS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: Invalid,
    422: Invalid,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def kind_of(status: int) -> type[ApiError]:
    """The exception for a status."""
    return _KINDS.get(status, ApiError)


class JobFailed(ClientError):
    """What was waited for can't come any more; `job` says why."""

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job


class WaitTimeout(ClientError):
    """It did not come in time; `job` is how the job stood last, None where not even that could be read."""

    def __init__(self, message: str, job: Job | None) -> None:
        super().__init__(message)
        self.job = job
