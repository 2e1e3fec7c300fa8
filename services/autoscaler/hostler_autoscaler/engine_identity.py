"""What a job's replicas are: where that changes, what was learned of the old ones tells nothing of the new.

Pure; the service asks before each decision. The fingerprint is kept with what was learned, so it holds across restarts and leaders.
"""

import json
from dataclasses import replace
from hashlib import blake2s

from hostler_autoscaler.engine_fit import EngineFit
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.job import JobSpec

_BYTES = 6


def fingerprint(spec: JobSpec) -> str:
    """Of what a replica's speed and the length of its answers come from; the bounds, the name and the labels are no part of it.

    Nor is the environment: what is kept with the state is shown to whoever may see decisions, and variables may be secrets.
    """
    told = (
        spec.model,
        spec.runtime,
        spec.runtime_image,
        spec.hardware_profile,
        spec.gpu_count,
        sorted(spec.serving.args.items()),
    )
    return blake2s(json.dumps(told).encode(), digest_size=_BYTES).hexdigest()


def kept_for(state: PolicyState, serves: str, *, mixed: bool) -> PolicyState:
    """What may be kept of `state` for replicas with this fingerprint.

    | learned of       | old replicas beside the new | engine and content | samples            |
    | ---------------- | --------------------------- | ------------------ | ------------------ |
    | nobody knows     | any                         | kept               | as below           |
    | the same         | no                          | kept               | as usual           |
    | other replicas   | any                         | forgotten          | as below           |
    | any              | yes                         | as above           | none: they are of both |

    The load does not change with the replicas, so its rates, the needs of the window and the regrets are kept.
    """
    if state.serves != serves:
        anew = state.serves is not None
        state = replace(state, serves=serves)
        if anew:
            state = replace(state, engine=EngineFit(), shape=None, rps=None, settled_at=None)
    return replace(state, settled_at=None) if mixed else state
