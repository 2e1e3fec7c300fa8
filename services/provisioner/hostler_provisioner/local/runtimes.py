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
from hostler_provisioner.local import parameters, simulated_parameters

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
        needs_weights: Serves only models whose weights are on this machine, and is told where they are; else any model.
        parse: Arguments of a job, and threads where it does not say, to parameters; refuses with a PermanentError.
    """

    name: str
    script: Path
    package: str
    needs_weights: bool
    parse: Callable[[Args, int], Parameters]

    @property
    def installed(self) -> bool:
        """Whether it can be started here."""
        return find_spec(self.package) is not None


def _llamacpp(args: Args, default_threads: int) -> Parameters:
    return asdict(parameters.parse_args(args, default_threads=default_threads))


def _simulated(args: Args, _default_threads: int) -> Parameters:
    return asdict(simulated_parameters.parse_simulated_args(args))


LLAMACPP = Runtime("llamacpp", _HERE / "llamacpp_server.py", "xllamacpp", needs_weights=True, parse=_llamacpp)
SIMULATED = Runtime(
    "simulated", _HERE / "simulated_server.py", "aiohttp", needs_weights=False, parse=_simulated
)

RUNTIMES: Mapping[str, Runtime] = MappingProxyType({each.name: each for each in (LLAMACPP, SIMULATED)})


def runtime_named(name: str) -> Runtime:
    """The runtime of this name.

    Raises:
        PermanentError: this machine can't run it.
    """
    runtime = RUNTIMES.get(name)
    if runtime is None or not runtime.installed:
        can = ", ".join(each.name for each in RUNTIMES.values() if each.installed)
        raise PermanentError(f"runtime {name} can't run on this machine; it runs: {can}")
    return runtime
