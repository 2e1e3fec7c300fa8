"""Answers about what was: events, the history, revisions, measurements and counts."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from hostler_api.dialects.runai.documents import Answer, RequestedPods, is_none


class InvolvedObject(Answer):
    """What an event is about."""

    uid: str
    kind: str
    name: str
    namespace: str


class EventAnswer(Answer):
    """Something that happened."""

    created_at: datetime
    id: str
    type: str
    cluster_id: str
    message: str
    reason: str
    source: str
    involved_object: InvolvedObject


class EventList(Answer):
    """A page of events, newest first unless asked otherwise."""

    next: int | None = Field(default=None, exclude_if=is_none)
    events: tuple[EventAnswer, ...]


class RecordMeta(Answer):
    """When a record of the history was made, and its kind."""

    creation_timestamp: datetime
    type: str


class PhaseUpdate(Answer):
    """The phase changed."""

    phase: str
    phase_message: str


class RecordSpec(Answer):
    """Either of the two."""

    event: EventAnswer | None = Field(default=None, exclude_if=is_none)
    phase_update: PhaseUpdate | None = Field(default=None, exclude_if=is_none)


class RecordAnswer(Answer):
    """One record of the history."""

    meta: RecordMeta
    spec: RecordSpec


class RecordList(Answer):
    """A page of the history, newest first."""

    next: int | None = Field(default=None, exclude_if=is_none)
    records: tuple[RecordAnswer, ...]


class RevisionAnswer(Answer):
    """What a workload was made from for some time."""

    type: str
    name: str
    id: str
    workload_id: str
    tenant_id: int
    cluster_id: str
    project_id: str
    department_id: str
    created_at: datetime
    deleted_at: datetime | None = Field(default=None, exclude_if=is_none)
    requested_pods: RequestedPods
    requested_node_pools: tuple[str, ...]
    running_pods: int
    images: tuple[str, ...]
    environment_variables: Mapping[str, str]
    arguments: str
    phase: str
    phase_updated_at: datetime


class RevisionList(Answer):
    """All revisions of a workload, newest first."""

    revisions: tuple[RevisionAnswer, ...]


class MeasuredValue(Answer):
    """One point; the value is a number as text."""

    value: str
    timestamp: datetime


class Measurement(Answer):
    """One series; null values say that nothing here measures it, a missing point is a gap."""

    type: str
    labels: Mapping[str, str] | None = None
    values: tuple[MeasuredValue, ...] | None


class MetricsAnswer(Answer):
    """What was asked for."""

    measurements: tuple[Measurement, ...]


class TelemetryGroup(Answer):
    """What a value is about."""

    key: str
    value: str
    name: str | None = Field(default=None, exclude_if=is_none)


class TelemetryValue(Answer):
    """One value."""

    value: str
    groups: tuple[TelemetryGroup, ...]


class TelemetryAnswer(Answer):
    """How things stand at this moment."""

    type: str
    timestamp: datetime
    values: tuple[TelemetryValue, ...]
