"""The runtime `parakeet`: the transcription server of `hostler_speech` with the engine onnx-asr, on a GPU where the machine has one.

Pure. The weights are the published ONNX forms of NVIDIA's models, which onnx-asr fetches from the hub into the model cache.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import CACHE_PATH, Guest, GuestFile, HttpCheck
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings, Wanted, hub_token, job_env
from hostler_provisioner.local.parameters import unknown_argument, whole_number

RUNTIME = "parakeet"
PORT = 8000
LAUNCH_FILE = "/etc/hostler/speech.json"
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "nvidia/parakeet-tdt-0.6b-v3": "nemo-parakeet-tdt-0.6b-v3",
        "nvidia/parakeet-tdt-0.6b-v2": "nemo-parakeet-tdt-0.6b-v2",
        "nvidia/parakeet-ctc-0.6b": "nemo-parakeet-ctc-0.6b",
        "nvidia/parakeet-rnnt-0.6b": "nemo-parakeet-rnnt-0.6b",
    }
)
"""What can be served, by its id on the hub, each with onnx-asr's name of it."""
# Lowest, highest, and what it is where a job says nothing.
_INTEGERS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "workers": (1, 16, 2),
        "queue_length_max": (0, 1_000, 32),
        "audio_bytes_max": (1_024, 999_999_999, 25 * 2**20),
        "audio_seconds_max": (1, 14_400, 3_600),
    }
)


def parakeet(wanted: Wanted, settings: GuestSettings) -> Guest:
    """The server of one replica.

    Raises:
        PermanentError: the model is none of these, or an argument is unknown or out of bounds.
    """
    if wanted.model not in MODELS:
        raise PermanentError(
            f"model must be one of {', '.join(MODELS)} for the runtime parakeet, not {wanted.model!r}"
        )
    numbers = {name: default for name, (_, _, default) in _INTEGERS.items()}
    for written, value in wanted.args:
        name = written.replace("-", "_")
        if name not in _INTEGERS:
            raise PermanentError(unknown_argument(written, RUNTIME, _INTEGERS))
        lowest, highest, _ = _INTEGERS[name]
        numbers[name] = whole_number(written, value, lowest, highest)
    launch = {
        "model_path": f"{CACHE_PATH}/{MODELS[wanted.model]}",
        "model": MODELS[wanted.model],
        "served_name": wanted.served_name,
        "host": "0.0.0.0",  # the machine's one network is its pod's
        "port": PORT,
        "engine": "onnx-asr",
        "device": "cuda" if wanted.gpu_count else "cpu",
        "threads": max(1, int(wanted.cpu_cores) // numbers["workers"]),
        "beam_size": 1,
        "compute_type": "float32",
        **numbers,
    }
    return Guest(
        argv=("/opt/hostler/speech/bin/python", "-m", "hostler_speech", LAUNCH_FILE),
        env=(("HF_HOME", CACHE_PATH), *job_env(wanted.env)),
        secret_env=(("HOSTLER_REPLICA_API_KEY", wanted.api_key), *hub_token(wanted)),
        files=(GuestFile(LAUNCH_FILE, json.dumps(launch, sort_keys=True).encode()),),
        port=PORT,
        health=HttpCheck("/health", PORT),
        # It ends at once: requests are let finish before it is told to.
        shutdown_timeout_seconds=min(10, settings.shutdown_timeout_seconds),
        log_name=RUNTIME,
    )
