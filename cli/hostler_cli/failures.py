"""Errors as people and scripts meet them: what happened, what to do next, and the exit code.

Commands raise; `app` catches in one place and prints what `explain` says. What is not known here is a bug and keeps its
traceback.
"""

import sys
from dataclasses import dataclass

from hostler_cli.exit_codes import ExitCode


class CliError(Exception):
    """A command can't go on; `hint` says what to do about it."""

    def __init__(
        self,
        message: str,
        *,
        code: ExitCode = ExitCode.FAILURE,
        hint: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell, and with which code to end."""

    code: ExitCode
    message: str
    details: tuple[str, ...] = ()
    hint: str = ""
    request_id: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The text for stderr."""
        return (
            f"error: {self.message}",
            *(f"  {detail}" for detail in self.details),
            *((f"hint: {self.hint}",) if self.hint else ()),
            *((f"request id: {self.request_id}",) if self.request_id else ()),
        )


CODE_OF_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.AUTH,
    403: ExitCode.AUTH,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
}
"""Exit code for a refusal with this HTTP status, whether of the api or of the router; FAILURE for any other."""

HINT_OF_STATUS = {
    401: "set HOSTLER_API_KEY, or give --api-key-file, with a key of this installation",
    403: "ask for a key with the scope that this needs, or for the right project",
    404: "`hostler jobs list`, `keys list` and `projects list` show what there is; with --project NAME, what another project has",
    409: "`hostler jobs list` shows how jobs stand; for a name that is taken choose another --name, or delete the other job first",
    412: "read the job again (`hostler jobs get JOB -o json` has its revision) and say what to change",
    502: "try again in a moment; `hostler status` and `hostler doctor` tell how the services are",
    503: "try again in a moment; `hostler status` and `hostler doctor` tell how the services are",
    504: "try again in a moment; `hostler status` and `hostler doctor` tell how the services are",
}


def explain(error: Exception) -> Failure | None:
    """What to tell about an error; None for one that nobody expected."""
    if isinstance(error, CliError):
        return Failure(error.code, str(error), hint=error.hint, request_id=error.request_id)
    if "hostler_client.errors" not in sys.modules:
        return None  # the client was never loaded, so this is none of its errors
    from hostler_client import errors

    if not isinstance(error, errors.ClientError):
        return None
    match error:
        case errors.ApiError():
            return Failure(
                CODE_OF_STATUS.get(error.status, ExitCode.FAILURE),
                error.title if error.errors or not error.detail else f"{error.title}: {error.detail}",
                details=tuple(f"{each.field}: {each.message}" for each in error.errors),
                hint=HINT_OF_STATUS.get(error.status, ""),
                request_id=error.request_id,
            )
        case errors.WaitTimeout():
            return Failure(ExitCode.TIMEOUT, str(error), hint=_look_at(error.job.name if error.job else None))
        case errors.JobFailed():
            return Failure(ExitCode.FAILURE, str(error), hint=_look_at(error.job.name))
        case errors.Unreachable():
            return Failure(
                ExitCode.FAILURE, str(error), hint="is it running? `hostler status` and `hostler doctor` tell"
            )
        case _:
            return Failure(ExitCode.FAILURE, str(error))


def _look_at(name: str | None) -> str:
    return f"`hostler jobs events {name}` tells what happened" if name else ""
