"""What a runtime's module is asked to start, and what a job may not say about its environment.

Pure. `Launch` of the provisioner's backends has everything that is asked for here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from hostler_domain.errors import PermanentError

# These choose what code the server runs, or speak for Hostler or for the runtime about what is the provisioner's to say.
_REFUSED_PREFIXES = ("LD_", "PYTHON", "HOSTLER_", "OPENSSL_", "GCONV_", "GLIBC_", "CREDENTIALS_")
_REFUSED = frozenset(
    {
        "PATH",
        "HOME",
        "SHELL",
        "USER",
        "IFS",
        "ENV",
        "BASH_ENV",
        "LOCPATH",
        "SSLKEYLOGFILE",
        "HF_HOME",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "NGC_API_KEY",
        "VLLM_API_KEY",
        "VLLM_SERVER_DEV_MODE",
        "VLLM_PLUGINS",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "VLLM_ALLOW_INSECURE_SERIALIZATION",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS",
    }
)


class Wanted(Protocol):
    """One replica's server.

    Attributes:
        model: Hugging Face id of the weights.
        served_name: What requests call it.
        aliases: What else they may call it.
        runtime: The kind of server.
        args: Serving parameters by name.
        env: Environment that the job asks for.
        cpu_cores: Cores that it gets.
        gpu_count: GPUs that it gets.
        api_key: The key that requests to it must bring.
        hf_token: With which weights are fetched from the hub; None for none.
        ssh_keys: Public keys of those who may log in, where there is no server.
    """

    @property
    def model(self) -> str: ...  # noqa: D102  # the class says it
    @property
    def served_name(self) -> str: ...  # noqa: D102  # likewise
    @property
    def aliases(self) -> tuple[str, ...]: ...  # noqa: D102  # likewise
    @property
    def runtime(self) -> str: ...  # noqa: D102  # likewise
    @property
    def args(self) -> tuple[tuple[str, str], ...]: ...  # noqa: D102  # likewise
    @property
    def env(self) -> tuple[tuple[str, str], ...]: ...  # noqa: D102  # likewise
    @property
    def cpu_cores(self) -> float: ...  # noqa: D102  # likewise
    @property
    def gpu_count(self) -> int: ...  # noqa: D102  # likewise
    @property
    def api_key(self) -> str: ...  # noqa: D102  # likewise
    @property
    def hf_token(self) -> str | None: ...  # noqa: D102  # likewise
    @property
    def ssh_keys(self) -> tuple[str, ...]: ...  # noqa: D102  # likewise


@dataclass(frozen=True, slots=True)
class GuestSettings:
    """What all guests of a cluster have in common.

    Attributes:
        shutdown_timeout_seconds: How long a server that is told to end may go on with requests that it has.
        ngc_api_key: NVIDIA's key for NIM containers and their models; None for a cluster that runs none.
    """

    shutdown_timeout_seconds: int = 120
    ngc_api_key: str | None = field(default=None, repr=False)


def job_env(env: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The job's variables for a server.

    Raises:
        PermanentError: one of them would change what code runs, or is Hostler's to set.
    """
    checked = tuple(env)
    for name, _ in checked:
        if name.upper().startswith(_REFUSED_PREFIXES) or name.upper() in _REFUSED:
            raise PermanentError(f"serving.env.{name} may not be set by a job")
    return checked


def hub_token(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """The hub's token as a secret variable, where there is one."""
    return (("HF_TOKEN", wanted.hf_token),) if wanted.hf_token else ()
