"""What a job may say about a `simulated` replica: pace, size, and how it is to fail. Checked like those of a real runtime."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from hostler_domain.errors import PermanentError
from hostler_provisioner.local.parameters import decimal_number, unknown_argument, whole_number

# Lowest and highest allowed.
_INTEGERS: dict[str, tuple[int, int]] = {
    "fail_start": (0, 125),
    "seed": (0, 999_999_999),
    "crash_after_requests": (0, 999_999_999),
    "hang_after_requests": (0, 999_999_999),
    "n_parallel": (1, 4_096),
    "completion_tokens": (1, 100_000),
}
_DECIMALS: dict[str, tuple[float, float]] = {
    "start_delay_seconds": (0, 86_400),
    "first_token_seconds": (0, 3_600),
    "tokens_per_second": (0.01, 1_000_000),
    "jitter": (0, 1),
    "fail_rate": (0, 1),
}


@dataclass(frozen=True, slots=True)
class SimulatedParameters:
    """How the simulated server behaves.

    Attributes:
        start_delay_seconds: From the start of the process until it serves; /health says 503 meanwhile.
        fail_start: Exit code with which it ends instead, after that delay; 0 means that it does not.
        first_token_seconds: From a request's turn to its first token.
        tokens_per_second: Pace of the tokens after it, for each request by itself.
        jitter: Share by which each of these times varies at random, up or down.
        seed: Of what is random; the same seed and order of requests give the same course.
        fail_rate: Share of the requests that are answered with 500.
        crash_after_requests: The request after this many ends the process; 0 means that none does.
        hang_after_requests: From the request after this many on, nothing is answered any more, /health included; 0 means never.
        n_parallel: Requests answered at once; more wait in line.
        completion_tokens: Length of an answer for which the request sets no smaller maximum.
    """

    start_delay_seconds: float = 0.0
    fail_start: int = 0
    first_token_seconds: float = 0.05
    tokens_per_second: float = 50.0
    jitter: float = 0.0
    seed: int = 0
    fail_rate: float = 0.0
    crash_after_requests: int = 0
    hang_after_requests: int = 0
    n_parallel: int = 4
    completion_tokens: int = 16


_PARAMETERS = TypeAdapter(SimulatedParameters)


def parse_simulated_args(args: Iterable[tuple[str, str]]) -> SimulatedParameters:
    """The parameters that `args` ask for.

    Raises:
        PermanentError: an argument is unknown or out of bounds; the message names it.
    """
    given: dict[str, int | float] = {}
    for name, value in args:
        if name in _INTEGERS:
            given[name] = whole_number(name, value, *_INTEGERS[name])
        elif name in _DECIMALS:
            given[name] = decimal_number(name, value, *_DECIMALS[name])
        else:
            raise PermanentError(unknown_argument(name, "simulated", (*_INTEGERS, *_DECIMALS)))
    return _PARAMETERS.validate_python(given)
