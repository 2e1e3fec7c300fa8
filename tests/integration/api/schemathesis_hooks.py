"""What schemathesis can't guess from a schema: bodies that make something, so that its stateful phase has things to go on with.

Only right requests of the stateful phase get one; everything else is as schemathesis makes it.
"""

import itertools

import schemathesis
from schemathesis import Case, HookContext

from tests.support.builders import MODEL

_NUMBERS = itertools.count(1)


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, object]) -> None:
    """Put a body that is accepted into a request that makes something."""
    if (
        case.meta is None
        or case.meta.phase.name.value != "stateful"
        or not case.meta.generation.mode.is_positive
    ):
        return
    number = next(_NUMBERS)
    bodies: dict[str, dict[str, object]] = {
        "create_job": {"model": MODEL},
        "create_key": {"name": "made", "scopes": ["jobs:read"]},
        "create_project": {"name": f"made-{number}"},
        "create_master": {"model": f"made/{number}", "runtime": "vllm"},
        "create_profile": {"name": f"made.{number}", "cpu_cores": 1, "memory_bytes": 2**30},
        "lyceum_create_deployment": {"hf_model_id": MODEL},
        "runai_create_inference": {
            "name": f"made-{number}",
            "projectId": "default",
            "clusterId": "00000000-0000-0000-0000-000000000000",
            "spec": {"args": f"--model {MODEL}", "image": "hostler/llamacpp:1"},
        },
    }
    body = bodies.get(case.operation.definition.raw.get("operationId", ""))
    if body is not None:
        case.body = body
        case.headers.pop("idempotency-key", None)
        case.headers.pop("Idempotency-Key", None)
