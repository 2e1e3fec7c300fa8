"""The JSON Schema of every event, generated from the models: `python -m hostler_contracts.schemas DIR` writes them.

They are checked in beside this module, so that a change of the wire shows in a review, and a test compares them.
"""

import json
import sys
from pathlib import Path

from hostler_contracts.audit import AuditRecordedV1
from hostler_contracts.dead_letters import LETTER_MODELS
from hostler_contracts.decisions import ScalingDecidedV1
from hostler_contracts.envelope import CloudEvent, event_name
from hostler_contracts.job_events import EVENT_MODELS
from hostler_contracts.load import LoadWindowV1
from hostler_contracts.usage import UsageRecordedV1

ALL_MODELS: tuple[type[CloudEvent], ...] = (
    *EVENT_MODELS,
    LoadWindowV1,
    UsageRecordedV1,
    AuditRecordedV1,
    ScalingDecidedV1,
    *LETTER_MODELS,
)
SCHEMAS = Path(__file__).parent / "schemas"


def full_type(model: type[CloudEvent]) -> str:
    """The event type that a model stands for."""
    return str(model.model_fields["type"].default)


def file_name(model: type[CloudEvent]) -> str:
    """Name of a model's schema file, such as `job.created.v1.json`."""
    kind = full_type(model)
    return f"{event_name(kind)}.v{kind.rpartition('.v')[2]}.json"


def schema_texts() -> dict[str, str]:
    """Every schema by file name."""
    return {
        file_name(model): json.dumps(model.model_json_schema(mode="serialization"), indent=2, sort_keys=True)
        + "\n"
        for model in ALL_MODELS
    }


def main() -> None:
    """Write every schema into the folder that is named, or beside this module."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SCHEMAS
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_texts().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
