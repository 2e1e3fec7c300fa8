"""What a job may say about how its model is served here, checked before anything is started.

Every name has a row in a table with its type and bounds; a name without a row is refused by name. Values only: the backend
calls this with what a job gave, and what comes out is safe to hand to the child.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from hostler_domain.errors import PermanentError

_CONTEXT_TOKENS_MAX = 1_048_576
_POOLINGS = ("mean", "cls", "last")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")

# Lowest and highest allowed.
_INTEGERS: dict[str, tuple[int, int]] = {
    "n_ctx": (64, 262_144),
    "n_parallel": (1, 64),
    "threads": (1, 256),
    "n_batch": (32, 8_192),
    "n_ubatch": (32, 8_192),
    "cache_ram_mib": (0, 65_536),
}
_SWITCHES = ("embedding", "warmup")

_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
# These choose what code the child runs, or speak for Hostler or for llama.cpp's own router.
_REFUSED_PREFIXES = ("LD_", "DYLD_", "PYTHON", "HOSTLER_", "GGML_", "LLAMA_", "OPENSSL_", "GCONV_", "GLIBC_")
_REFUSED_VARIABLES = ("PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "LOCPATH", "SSLKEYLOGFILE")


@dataclass(frozen=True, slots=True)
class ServerParameters:
    """How llama.cpp's server is run.

    Attributes:
        threads: Compute threads of the process.
        n_ctx: Tokens that one request may use, prompt and answer together.
        n_parallel: Requests served at once; each has its own n_ctx of memory.
        n_batch: Tokens of prompt handed in at once.
        n_ubatch: Tokens of prompt computed at once.
        cache_ram_mib: Memory for prompts that may come again.
        embedding: Serve /v1/embeddings too.
        pooling: How token vectors become one, for embeddings.
        warmup: Run once before saying ready: a slower start, a faster first answer.
    """

    threads: int
    n_ctx: int = 2048
    n_parallel: int = 4
    n_batch: int = 2048
    n_ubatch: int = 512
    cache_ram_mib: int = 256
    embedding: bool = False
    pooling: str = "mean"
    warmup: bool = False


_PARAMETERS = TypeAdapter(ServerParameters)


def parse_args(args: Iterable[tuple[str, str]], *, default_threads: int) -> ServerParameters:
    """The parameters that `args` ask for.

    Raises:
        PermanentError: an argument is unknown or out of bounds; the message names it.
    """
    given: dict[str, int | bool | str] = {"threads": default_threads}
    for name, value in args:
        if name in _INTEGERS:
            given[name] = whole_number(name, value, *_INTEGERS[name])
        elif name in _SWITCHES:
            given[name] = _switch(name, value)
        elif name == "pooling":
            if value not in _POOLINGS:
                raise PermanentError(f"argument pooling must be one of {', '.join(_POOLINGS)}, not {value!r}")
            given[name] = value
        else:
            raise PermanentError(unknown_argument(name, "llamacpp", (*_INTEGERS, *_SWITCHES, "pooling")))
    parameters = _PARAMETERS.validate_python(given)
    if parameters.n_ctx * parameters.n_parallel > _CONTEXT_TOKENS_MAX:
        raise PermanentError(f"argument n_ctx times n_parallel must be at most {_CONTEXT_TOKENS_MAX} tokens")
    if parameters.n_ubatch > parameters.n_batch:
        raise PermanentError("argument n_ubatch must not be greater than n_batch")
    return parameters


def default_threads(*, allotted_cores: float, usable_cores: float, physical_cores: int) -> int:
    """How many threads compute when the job does not say.

    ggml's threads spin while they wait for each other, so one thread too many on busy cores is ten times slower rather
    than a little faster: one core is left to everything else, and on two cores or fewer there is one thread.
    """
    spare = 1 if usable_cores <= 2 else max(1, physical_cores - 1)
    return max(1, min(spare, int(allotted_cores)))


def checked_env(env: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The job's variables for the child.

    Raises:
        PermanentError: a name is malformed, or would change what code the child runs.
    """
    checked: dict[str, str] = {}
    for name, value in env:
        if not _VARIABLE.fullmatch(name):
            raise PermanentError(f"environment variable {name!r} must be upper-case letters, digits and _")
        if name.startswith(_REFUSED_PREFIXES) or name in _REFUSED_VARIABLES:
            raise PermanentError(f"environment variable {name} may not be set by a job")
        if "\0" in value:
            raise PermanentError(f"environment variable {name} contains a null character")
        checked[name] = value
    return checked


def whole_number(name: str, value: str, lowest: int, highest: int) -> int:
    """A whole number within its bounds.

    Raises:
        PermanentError: it is not; the message names the argument.
    """
    # int() would also take spaces, underscores and signs.
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None
    if number is None or not lowest <= number <= highest:
        raise PermanentError(
            f"argument {name} must be a whole number from {lowest} to {highest}, not {value!r}"
        )
    return number


def decimal_number(name: str, value: str, lowest: float, highest: float) -> float:
    """A number in plain decimal notation within its bounds.

    Raises:
        PermanentError: it is not; the message names the argument.
    """
    number = float(value) if _DECIMAL.fullmatch(value) else None
    if number is None or not lowest <= number <= highest:
        raise PermanentError(
            f"argument {name} must be a number from {lowest:g} to {highest:g}, not {value!r}"
        )
    return number


def unknown_argument(name: str, runtime: str, known: Iterable[str]) -> str:
    """The sentence that refuses an argument without a row."""
    return f"argument {name} is not known to the runtime {runtime}; it takes: {', '.join(sorted(known))}"


def _switch(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise PermanentError(f"argument {name} must be true or false, not {value!r}")
