"""How workloads stand at this moment, counted in groups. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from hostler_api.dialects.runai.documents import WorkloadAnswer
from hostler_api.dialects.runai.history_documents import TelemetryAnswer, TelemetryGroup, TelemetryValue
from hostler_domain.errors import FieldError, InvalidFields


class TelemetryType(StrEnum):
    """What can be counted."""

    WORKLOADS_COUNT = "WORKLOADS_COUNT"
    GPU_ALLOCATION = "GPU_ALLOCATION"


GROUPS: Mapping[str, Callable[[WorkloadAnswer], tuple[str, str | None]]] = {
    "ClusterId": lambda row: (row.cluster_id, None),
    "DepartmentId": lambda row: (row.department_id, row.department_name),
    "ProjectId": lambda row: (row.project_id, row.project_name),
    "Type": lambda row: (row.type, None),
    "CurrentNodepools": lambda row: (",".join(row.current_node_pools), None),
    "Phase": lambda row: (row.phase, None),
    "Category": lambda row: (row.category, None),
}
GROUPS_MAX = 2


def telemetry(
    kind: TelemetryType,
    rows: Sequence[WorkloadAnswer],
    group_by: Sequence[str],
    phases: Sequence[str],
    *,
    now: datetime,
) -> TelemetryAnswer:
    """What was asked for.

    Raises:
        InvalidFields: it can't be grouped like that.
    """
    if len(group_by) > GROUPS_MAX or not set(group_by) <= set(GROUPS):
        raise InvalidFields(FieldError("groupBy", f"must be at most {GROUPS_MAX} of {', '.join(GROUPS)}"))
    totals: dict[tuple[TelemetryGroup, ...], float] = {} if group_by else {(): 0.0}
    for row in rows:
        if phases and row.phase not in phases:
            continue
        group = tuple(_group(key, row) for key in group_by)
        amount = 1.0 if kind is TelemetryType.WORKLOADS_COUNT else row.allocated_resources.gpu
        totals[group] = totals.get(group, 0.0) + amount
    return TelemetryAnswer(
        type=kind,
        timestamp=now,
        values=tuple(TelemetryValue(value=f"{total:g}", groups=group) for group, total in totals.items()),
    )


def _group(key: str, row: WorkloadAnswer) -> TelemetryGroup:
    value, name = GROUPS[key](row)
    return TelemetryGroup(key=key, value=value, name=name)
