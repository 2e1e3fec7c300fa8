"""What an inference server's `/metrics` says of its line and its memory, whatever its version calls it.

Pure; `runtime_watch` hands in the text. A runtime that is not in the table, or says nothing of the kind, gives None.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from hostler_contracts.load import RuntimeLoad


@dataclass(frozen=True, slots=True)
class Names:
    """What one family of runtimes calls its gauges; of several names for one thing the first that is there counts.

    Attributes:
        running: Requests at work.
        waiting: Requests in the runtime's own line.
        kv_utilisation: Share of its memory for attention in use, 0 to 1.
    """

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    kv_utilisation: tuple[str, ...] = ()


RUNTIMES: Final = (
    # vLLM: `gpu_cache_usage_perc` until 0.9.1, both names from 0.9.2 on, `kv_cache_usage_perc` alone since 0.12.
    Names(
        ("vllm:num_requests_running",),
        ("vllm:num_requests_waiting",),
        ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    ),
    # SGLang.
    Names(("sglang:num_running_reqs",), ("sglang:num_queue_reqs",), ("sglang:token_usage",)),
    # Text Generation Inference has no gauge of its memory.
    Names(("tgi_batch_current_size",), ("tgi_queue_size",)),
    # llama.cpp's own server; its memory's gauge went in 2025.
    Names(
        ("llamacpp:requests_processing",),
        ("llamacpp:requests_deferred",),
        ("llamacpp:kv_cache_usage_ratio",),
    ),
    # NIM's language models: vLLM's, without its prefix.
    Names(("num_requests_running",), ("num_requests_waiting",), ("gpu_cache_usage_perc",)),
    # The transcription server of this repository.
    Names(("hostler_speech_requests_running",), ("hostler_speech_requests_waiting",)),
)
_WANTED: Final = tuple(
    name for names in RUNTIMES for name in (*names.running, *names.waiting, *names.kv_utilisation)
)
_LINES_MAX: Final = 4096


def read_runtime(text: str) -> RuntimeLoad | None:
    """What the text says; None where it says nothing that is in the table, or is no text of metrics."""
    # A server of this kind shows thousands of lines, and reading them all would hold requests up.
    wanted = [line for line in text.splitlines() if line.startswith(_WANTED)][:_LINES_MAX]
    try:
        samples = _samples(wanted)
    except ValueError:
        return None
    for names in RUNTIMES:
        running = _first(names.running, samples)
        waiting = _first(names.waiting, samples)
        kv_utilisation = _first(names.kv_utilisation, samples)
        if running or waiting or kv_utilisation:
            return RuntimeLoad(
                running=_count(running),
                waiting=_count(waiting),
                kv_utilisation=min(sum(kv_utilisation) / len(kv_utilisation), 1.0)
                if kv_utilisation
                else None,
            )
    return None


def _samples(lines: Iterable[str]) -> Mapping[str, list[float]]:
    """The finite values by name; several where engines or ranks within one server are told apart by labels."""
    samples: dict[str, list[float]] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if math.isfinite(sample.value) and sample.value >= 0:
                samples.setdefault(sample.name, []).append(sample.value)
    return samples


def _first(names: Iterable[str], samples: Mapping[str, list[float]]) -> list[float]:
    return next((samples[name] for name in names if name in samples), [])


def _count(values: list[float]) -> int | None:
    return round(sum(values)) if values else None
