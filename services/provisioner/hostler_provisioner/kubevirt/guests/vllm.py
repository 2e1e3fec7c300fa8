"""The runtime `vllm`: vLLM's OpenAI-compatible server, 0.18 or later, on all GPUs of the machine.

Pure. `--shutdown-timeout` came with 0.18; without it a server that is told to end drops the streams that it has. The key goes in the
environment, since everybody on a machine can read a command line.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hostler_domain.errors import PermanentError
from hostler_domain.spec_rules import MODEL_ID
from hostler_provisioner.kubevirt.guest import CACHE_PATH, Guest, HttpCheck
from hostler_provisioner.kubevirt.guests.flags import (
    Form,
    decimal,
    flags,
    json_object,
    switch,
    text,
    whole,
    word,
    words,
)
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings, Wanted, hub_token, job_env

RUNTIME = "vllm"
PORT = 8000
_TENSOR, _PIPELINE, _DATA = "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"
_LARGE = 2**31

# Names and forms are those of vLLM 0.32.
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        # How the GPUs are shared out; together they must be the job's gpu_count.
        _TENSOR: whole(1, 64),
        _PIPELINE: whole(1, 64),
        _DATA: whole(1, 64),
        "enable-expert-parallel": switch,
        # The model.
        "revision": word,
        "tokenizer": word,
        "tokenizer-revision": word,
        "tokenizer-mode": word,
        "config-format": word,
        "load-format": word,
        "trust-remote-code": switch,
        "dtype": word,
        "quantization": word,
        "max-model-len": whole(1, _LARGE),
        "hf-overrides": json_object,
        "override-generation-config": json_object,
        "generation-config": word,
        "runner": word,
        "convert": word,
        "seed": whole(0, _LARGE),
        "max-logprobs": whole(-1, _LARGE),
        # Memory and batches.
        "gpu-memory-utilization": decimal(0.05, 1.0),
        "kv-cache-dtype": word,
        "block-size": whole(1, 1024),
        "cpu-offload-gb": decimal(0, 4096),
        "max-num-seqs": whole(1, 65_536),
        "max-num-batched-tokens": whole(1, _LARGE),
        "enable-prefix-caching": switch,
        "enable-chunked-prefill": switch,
        "async-scheduling": switch,
        "enforce-eager": switch,
        "attention-backend": word,
        "compilation-config": json_object,
        "speculative-config": json_object,
        "scheduling-policy": word,
        # What it reads and writes.
        "chat-template": text,
        "chat-template-content-format": word,
        "default-chat-template-kwargs": json_object,
        "response-role": word,
        "enable-auto-tool-choice": switch,
        "tool-call-parser": word,
        "reasoning-parser": word,
        "limit-mm-per-prompt": json_object,
        "mm-processor-kwargs": json_object,
        "allowed-media-domains": words,
        "enable-lora": switch,
        "max-loras": whole(1, 1024),
        "max-lora-rank": whole(1, 512),
        # What it says.
        "uvicorn-log-level": word,
        "max-log-len": whole(0, _LARGE),
        "enable-log-requests": switch,
    }
)


def vllm(wanted: Wanted, settings: GuestSettings) -> Guest:
    """The server of one replica.

    Raises:
        PermanentError: an argument is unknown, or has the wrong form, or the job has no GPU for it.
    """
    if not MODEL_ID.fullmatch(wanted.model):
        raise PermanentError(f"model must be a Hugging Face id, not {wanted.model[:80]!r}")
    given = dict(wanted.args)
    return Guest(
        argv=(
            "vllm",
            "serve",
            wanted.model,
            # The first is the one that answers bear; a request for any other name is a 404 to vLLM.
            *words("served-model-name", ",".join(dict.fromkeys((wanted.served_name, *wanted.aliases)))),
            "--host=0.0.0.0",
            f"--port={PORT}",
            f"--download-dir={CACHE_PATH}",
            f"--shutdown-timeout={settings.shutdown_timeout_seconds}",
            # Usage is what is billed, cached tokens apart from others.
            "--enable-prompt-tokens-details",
            "--enable-force-include-usage",
            "--disable-fastapi-docs",
            *_parallel(given, wanted.gpu_count),
            *flags(given.items(), FORMS, RUNTIME),
        ),
        env=(
            ("HF_HOME", CACHE_PATH),
            ("VLLM_MAX_N_SEQUENCES", "128"),
            *job_env(wanted.env),
            ("VLLM_MEDIA_URL_ALLOW_REDIRECTS", "0"),
            ("VLLM_NO_USAGE_STATS", "1"),
        ),
        secret_env=(("VLLM_API_KEY", wanted.api_key), *hub_token(wanted)),
        port=PORT,
        health=HttpCheck("/health", PORT),
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        log_name=RUNTIME,
    )


def _parallel(given: Mapping[str, str], gpu_count: int) -> list[str]:
    """How the GPUs are shared out, where the job leaves a choice: a part of the model for each."""
    if gpu_count < 1:
        raise PermanentError("gpu_count must be at least 1 for the runtime vllm")
    said = {name.replace("_", "-"): value for name, value in given.items()}
    taken = 1
    for name in (_TENSOR, _PIPELINE, _DATA):
        value = said.get(name, "1")
        # What is no number is refused with its name when the flags are made.
        taken *= int(value) if value.isascii() and value.isdigit() and len(value) < 4 else 1
    if _TENSOR not in said and taken and gpu_count % taken == 0:
        return [f"--{_TENSOR}={gpu_count // taken}"]
    if taken != gpu_count:
        raise PermanentError(
            f"serving.args.{_TENSOR}, {_PIPELINE} and {_DATA} use {taken} GPUs together, and gpu_count is {gpu_count}"
        )
    return []
