"""The runtime `nim`: a container of NVIDIA's NIM, which serves its model behind OpenAI's interface, run by Podman in the machine.

Pure. The container's image and its profile are arguments. NIM knows no key for its own requests, so that only the NetworkPolicy keeps
others out; NVIDIA's key, with which the image and the weights are fetched, is the operator's. Variables are passed to the container by name, so that no value is in a command line.
"""

import base64
import json
import re

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import CACHE_PATH, Guest, GuestFile, HttpCheck
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings, Wanted, job_env

RUNTIME = "nim"
PORT = 9000
REGISTRY_FILE = "/etc/hostler/registry.json"
_GRPC_PORT = 50051
_CONTAINER = re.compile(
    r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)+(:[\w.-]{1,128})?(@sha256:[0-9a-f]{64})?", re.ASCII
)
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", re.ASCII)
_TAGS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]{0,499}", re.ASCII)
_ARGS = {"container": _CONTAINER, "profile": _PROFILE, "tags-selector": _TAGS}
_VARIABLES = {"profile": "NIM_MODEL_PROFILE", "tags-selector": "NIM_TAGS_SELECTOR"}


def nim(wanted: Wanted, settings: GuestSettings) -> Guest:
    """The container of one replica.

    Raises:
        PermanentError: an argument is unknown, or none says which container; or the cluster has no key of NVIDIA's.
    """
    said: dict[str, str] = {}
    for written, value in wanted.args:
        name = written.replace("_", "-")
        if name not in _ARGS:
            raise PermanentError(
                f"serving.args.{written} is not known to the runtime nim; it takes: {', '.join(_ARGS)}"
            )
        if not _ARGS[name].fullmatch(value):
            raise PermanentError(f"serving.args.{written} has not the form of one, got {value[:80]!r}")
        said[name] = value
    if "container" not in said:
        raise PermanentError(
            "serving.args.container must say which NIM, such as 'nvcr.io/nim/nvidia/parakeet-1-1b-ctc-en-us:1.4.0'"
        )
    if settings.ngc_api_key is None:
        raise PermanentError("runtime: this cluster has no NGC key, which every NIM needs")
    env = (
        *job_env(wanted.env),
        *((variable, said[name]) for name, variable in _VARIABLES.items() if name in said),
        ("NIM_HTTP_API_PORT", str(PORT)),
        ("NIM_SERVER_PORT", str(PORT)),
        ("NIM_GRPC_API_PORT", str(_GRPC_PORT)),
        ("NIM_SERVED_MODEL_NAME", wanted.served_name),
    )
    names = sorted({name for name, _ in env} | {"NGC_API_KEY"})
    return Guest(
        argv=(
            "podman",
            "run",
            "--rm",
            "--replace",
            "--name=nim",
            "--network=host",
            "--device=nvidia.com/gpu=all",
            "--shm-size=8g",
            f"--stop-timeout={settings.shutdown_timeout_seconds}",
            f"--volume={CACHE_PATH}:/opt/nim/.cache",
            *(f"--env={name}" for name in names),
            said["container"],
        ),
        env=env,
        secret_env=(("NGC_API_KEY", settings.ngc_api_key), ("REGISTRY_AUTH_FILE", REGISTRY_FILE)),
        files=(GuestFile(REGISTRY_FILE, _registry(said["container"], settings.ngc_api_key), 0o600),),
        port=PORT,
        health=HttpCheck("/v1/health/ready", PORT),
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        as_root=True,
        log_name=RUNTIME,
    )


def _registry(container: str, key: str) -> bytes:
    """How Podman logs in to the container's registry, in the form that Docker gave to such files."""
    login = base64.b64encode(f"$oauthtoken:{key}".encode()).decode()
    return json.dumps({"auths": {container.partition("/")[0]: {"auth": login}}}).encode()
