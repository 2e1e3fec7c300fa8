"""The kinds of inference server that the local backend can start: one row of a table for each.

Each is a script that runs in a process of its own, reads a launch file (served name, port, parameters), answers /health with
200 once it serves, asks for the replica's key, and ends on SIGTERM.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from hostler_domain.errors import PermanentError
from hostler_provisioner.local import parameters, simulated_parameters, whisper_parameters
from hostler_provisioner.local.models import WeightsKind

Scalar = bool | int | float | str
Parameters = Mapping[str, Scalar]
"""By name, checked; as the launch file of the runtime has them."""
Args = tuple[tuple[str, str], ...]

KEY_VARIABLE = "HOSTLER_REPLICA_API_KEY"
"""Environment variable in which every server finds the replica's key."""

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Runtime:
    """One kind of inference server.

    Attributes:
        name: As jobs name it.
        script: What the process runs.
        package: What must be installed for it.
        weights: The form of weights that it reads: it serves only models that are on this machine in it, and is told where they
            are. None for one that serves any model.
        parse: Arguments of a job, and threads where it does not say, to parameters; refuses with a PermanentError.
        install: What installs the package.
    """

    name: str
    script: Path
    package: str
    weights: WeightsKind | None
    parse: Callable[[Args, int], Parameters]
    install: str = "make setup"

    @property
    def installed(self) -> bool:
        """Whether it can be started here."""
        return find_spec(self.package) is not None


def _llamacpp(args: Args, default_threads: int) -> Parameters:
    return asdict(parameters.parse_args(args, default_threads=default_threads))


def _simulated(args: Args, _default_threads: int) -> Parameters:
    return asdict(simulated_parameters.parse_simulated_args(args))


def _whisper(args: Args, default_threads: int) -> Parameters:
    return asdict(whisper_parameters.parse_whisper_args(args, default_threads=default_threads))


LLAMACPP = Runtime(
    "llamacpp", _HERE / "llamacpp_server.py", "xllamacpp", weights=WeightsKind.GGUF, parse=_llamacpp
)
SIMULATED = Runtime("simulated", _HERE / "simulated_server.py", "aiohttp", weights=None, parse=_simulated)
WHISPER = Runtime(
    "whisper",
    _HERE / "whisper_server.py",
    "faster_whisper",
    weights=WeightsKind.CTRANSLATE2,
    parse=_whisper,
    install="make setup-speech",
)

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {each.name: each for each in (LLAMACPP, SIMULATED, WHISPER)}
)


def runtime_named(name: str) -> Runtime:
    """The runtime of this name.

    Raises:
        PermanentError: this machine can't run it.
    """
    runtime = RUNTIMES.get(name)
    if runtime is not None and not runtime.installed:
        raise PermanentError(
            f"what the runtime {name} needs is not installed on this machine; `{runtime.install}` installs it"
        )
    if runtime is None:
        can = ", ".join(each.name for each in RUNTIMES.values() if each.installed)
        raise PermanentError(f"runtime {name} can't run on this machine; it runs: {can}")
    return runtime
