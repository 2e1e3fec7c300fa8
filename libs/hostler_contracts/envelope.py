"""The CloudEvents 1.0 envelope, in its structured JSON form.

Every message in a stream is one of these. Readers ignore attributes they don't know, so that a newer writer can add some.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TYPE_PREFIX = "dev.hostler"
CONTENT_TYPE = "application/cloudevents+json"


class Contract(BaseModel):
    """Root of everything on the wire: immutable, and deaf to what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Of which trace an event is a part: what W3C Trace Context and the CloudEvents extension Distributed Tracing carry.

    Attributes:
        traceparent: The header's value, valid.
        tracestate: Of vendors, valid; None where there is none.
    """

    traceparent: str
    tracestate: str | None = None


def is_none(value: str | None) -> bool:
    """For fields that are left out where they say nothing, so that what was written before there were any stays the same to the byte."""
    return value is None


class CloudEvent(Contract):
    """Attributes that every event has.

    Attributes:
        id: UUIDv7, also the message id by which the stream recognises a publish that is tried again.
        source: Who wrote it, such as `/hostler/scheduler/scheduler-1`.
        specversion: Of CloudEvents.
        type: `dev.hostler.<name>.v<version>`.
        subject: Id of what it is about.
        time: When it was written.
        datacontenttype: Of `data`.
        project: Whose it is.
        correlationid: The request that led to it, so that one wish can be followed through every service.
        traceparent: The trace of that request, by the extension Distributed Tracing; left out where there is none.
        tracestate: What vendors add to it, likewise.
    """

    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    specversion: Literal["1.0"] = "1.0"
    type: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    project: str
    correlationid: str | None = None
    traceparent: str | None = Field(default=None, exclude_if=is_none)
    tracestate: str | None = Field(default=None, exclude_if=is_none)

    @property
    def trace(self) -> TraceContext | None:
        """Both of the last, where there is a trace."""
        return None if self.traceparent is None else TraceContext(self.traceparent, self.tracestate)


def event_type(name: str, version: int) -> str:
    """Full type of an event, such as `dev.hostler.job.created.v1`."""
    return f"{TYPE_PREFIX}.{name}.v{version}"


def event_name(full_type: str) -> str:
    """Short name in a full type: `job.created` of `dev.hostler.job.created.v1`."""
    return full_type.removeprefix(f"{TYPE_PREFIX}.").rpartition(".v")[0]
