"""The jobs of a caller as OpenAI's list of models.

Pure; called by the application. `id` is the job's id, which is what `model` should say; `meta` is Hostler's own, some of it
also under the names that Lyceum's clients know.
"""

import json
from collections.abc import Iterable

from hostler_router.table import Entry


def models_list(entries: Iterable[Entry]) -> bytes:
    """Every job as a model."""
    return json.dumps({"object": "list", "data": [_model(entry) for entry in entries]}).encode()


def one_model(entry: Entry) -> bytes:
    """One job as a model."""
    return json.dumps(_model(entry)).encode()


def _model(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.job_id,
        "object": "model",
        "created": int(entry.created_at.timestamp()),
        "owned_by": entry.project,
        "meta": {
            "name": entry.name,
            "project": entry.project,
            "model": entry.model,
            "phase": str(entry.phase),
            "ready_replicas": len(entry.endpoints),
            "hf_model_id": entry.model,
            "hardware_profile": entry.hardware_profile,
            "min_replicas": entry.replicas_min,
            "max_replicas": entry.replicas_max,
            "healthy_replicas": len(entry.endpoints),
            "total_replicas": entry.replicas,
            "runtime": entry.runtime,
            "availability": _availability(entry),
            "reason": entry.reason or None,
            "eta_seconds": entry.eta_seconds,
            "extra_routes": sorted(entry.extra_routes),
        },
    }


def _availability(entry: Entry) -> str:
    """What a request would meet: `ready`, `waking` (it may wait), `asleep` (it wakes the job), or `unavailable`."""
    if entry.endpoints:
        return "ready"
    if entry.scaled_to_zero:
        return "asleep"
    return "waking" if entry.waking else "unavailable"
