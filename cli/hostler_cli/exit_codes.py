"""What the exit status of `hostler` means; scripts rely on these numbers."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One number per kind of ending, the same for every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    TIMEOUT = 6
    INTERRUPTED = 130
