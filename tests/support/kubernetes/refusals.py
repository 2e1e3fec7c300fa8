"""What the fake API server says no with: a status, a reason, and the `Status` object that a real server sends.

Clients tell refusals apart by reason, not by number alone: there are two kinds of 409 and two of 404.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.kubernetes.catalog import Resource

Cause = tuple[str, str, str]
"""Field, reason and message of one fault in an object."""


class Refusal(Exception):
    """Raised wherever a request is refused; the server answers with it."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": self.details} if self.details else {}),
            "code": self.status,
        }


def _about(resource: "Resource", name: str) -> dict[str, Any]:
    return {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}


def not_found(resource: "Resource", name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{resource.full_name} "{name}" not found', _about(resource, name))


def no_such_path() -> Refusal:
    """What is said of a path that nothing serves, such as the status of a VMI."""
    return Refusal(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: "Resource", name: str) -> Refusal:
    return Refusal(
        409, "AlreadyExists", f'{resource.full_name} "{name}" already exists', _about(resource, name)
    )


def conflict(resource: "Resource", name: str, why: str) -> Refusal:
    return Refusal(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource.full_name} "{name}": {why}',
        _about(resource, name),
    )


def manager_conflict(resource: "Resource", owned: Sequence[tuple[str, str]]) -> Refusal:
    """An apply that meets fields of other managers: pairs of manager and field."""
    managers = sorted({manager for manager, _ in owned})
    return Refusal(
        409,
        "Conflict",
        f"Apply failed with {len(owned)} conflict{'s' if len(owned) > 1 else ''}: "
        + ", ".join(f'conflict with "{manager}": {field}' for manager, field in owned),
        {
            "causes": [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{manager}" using {resource.api_version}',
                    "field": field,
                }
                for manager, field in owned
            ],
            "managers": managers,
        },
    )


def invalid(resource: "Resource", name: str, causes: Sequence[Cause]) -> Refusal:
    said = ", ".join(f"{field}: {message}" for field, _, message in causes)
    shown = f"[{said}]" if len(causes) > 1 else said
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return Refusal(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {shown}',
        {
            **_about(resource, name),
            "kind": resource.kind,
            "causes": [
                {"reason": reason, "message": message, "field": field} for field, reason, message in causes
            ],
        },
    )


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def expired(message: str) -> Refusal:
    """A revision that is no longer kept: 410, as an answer or inside a watch."""
    return Refusal(410, "Expired", message)


def unauthorized() -> Refusal:
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(resource: "Resource | None", name: str, why: str) -> Refusal:
    subject = (
        f'{resource.full_name} "{name}"' if resource and name else resource.full_name if resource else ""
    )
    return Refusal(
        403, "Forbidden", f"{subject} is forbidden: {why}", _about(resource, name) if resource else None
    )


def method_not_allowed() -> Refusal:
    return Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media(content_type: str, accepted: Sequence[str]) -> Refusal:
    return Refusal(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: "
        f"{', '.join(accepted)} (got {content_type})",
    )


def revision_too_large(asked: int, current: int) -> Refusal:
    return Refusal(
        504,
        "Timeout",
        f"Too large resource version: {asked}, current: {current}",
        {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        {"Retry-After": "1"},
    )


_INJECTED = {
    409: ("Conflict", "the object has been modified; please apply your changes to the latest version"),
    410: ("Expired", "The resourceVersion for the provided list is too old."),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: injected"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}


def injected(status: int, retry_after_seconds: float | None, reason: str | None) -> Refusal:
    """A refusal that somebody asked for."""
    known, message = _INJECTED.get(status, ("Unknown", "injected"))
    headers = {} if retry_after_seconds is None else {"Retry-After": f"{retry_after_seconds:g}"}
    details = {} if retry_after_seconds is None else {"retryAfterSeconds": int(retry_after_seconds)}
    return Refusal(status, reason or known, message, details, headers)
