"""What a Kubernetes API server can answer other than yes, in the words of the domain.

`client.py` raises these and nothing foreign. Two answers have the status 409 and mean different things; the `reason` tells
them apart.
"""

from hostler_domain.errors import PermanentError, TemporaryError


class Refused(PermanentError):
    """The manifest is at fault (400, 413, 415, 422): the same request is refused for ever."""


class AlreadyExists(TemporaryError):
    """There is an object of this name: ours or a stranger's."""


class Conflicting(TemporaryError):
    """The object is another than was thought: a newer version, another UID, or another manager's field."""


class Expired(TemporaryError):
    """The resource version is too old to go on from (410); only a new list helps."""


class NotThere(TemporaryError):
    """No such object (404); also what a missing namespace or kind looks like."""


def of_answer(status: int, reason: str, message: str, *, retry_after_seconds: float | None) -> Exception:
    """The error of an answer.

    | status        | reason        | error                                      |
    | ------------- | ------------- | ------------------------------------------ |
    | 404           | any           | NotThere                                   |
    | 409           | AlreadyExists | AlreadyExists                              |
    | 409           | other         | Conflicting                                |
    | 410           | any           | Expired                                    |
    | 400, 413-422  | any           | Refused                                    |
    | 429           | any           | temporary, after what the server asks for  |
    | other         | any           | temporary                                  |
    """
    words = f"the cluster answers {status} {reason}: {message}".strip().rstrip(":")
    match status:
        case 404:
            return NotThere(words)
        case 409:
            return AlreadyExists(words) if reason == "AlreadyExists" else Conflicting(words)
        case 410:
            return Expired(words)
        case 400 | 413 | 415 | 422:
            return Refused(words)
        case _:
            return TemporaryError(words, delay_seconds=retry_after_seconds or 1.0)
