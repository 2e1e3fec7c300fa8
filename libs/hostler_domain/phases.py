"""Where a job is: its phase, and what may follow.

The words are Run:ai's, so that nobody learns a second set. A phase is never set by hand: `evolve` derives which
`PhaseEvent` the present facts amount to, and `transition` says where that leads. A pair without a row is a bug.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.errors import IllegalTransition


class JobPhase(StrEnum):
    """Phase of a job. `Deleted` is the tombstone: nothing runs, the history stays readable."""

    CREATING = "Creating"
    PENDING = "Pending"
    INITIALIZING = "Initializing"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    UPDATING = "Updating"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    RESUMING = "Resuming"
    TERMINATING = "Terminating"
    FAILED = "Failed"
    UNKNOWN = "Unknown"
    DELETING = "Deleting"
    DELETED = "Deleted"


class DesiredPhase(StrEnum):
    """What the user last asked for."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    DELETED = "Deleted"


class PhaseReason(StrEnum):
    """Why a job is where it is, where the phase alone does not say it."""

    NO_CAPACITY = "NoCapacity"
    BACKING_OFF = "BackingOff"
    """Earlier starts failed, and the next one waits."""
    NO_MATCHING_HARDWARE = "NoMatchingHardware"
    PREEMPTED = "Preempted"
    """It had what it waits for and gave it up for a job of higher priority."""
    OVER_LIMIT = "OverLimit"
    """Its project's replicas hold as many GPUs as they may."""
    NON_PREEMPTIBLE_OVER_QUOTA = "NonPreemptibleOverQuota"
    """The same of those that nobody may take away."""
    INITIALIZATION_TIMEOUT = "InitializationTimeout"
    REPEATED_CRASH = "RepeatedCrash"
    CANNOT_START = "CannotStart"


class PhaseEvent(StrEnum):
    """What can happen to a job as a whole."""

    QUEUED = "queued"
    """It waits for room: some replica it needs has no place."""
    PLACED = "placed"
    """Every replica it needs has a place, none serves yet."""
    READY = "ready"
    """At least `min_replicas` serve, or it sleeps at zero on purpose."""
    SHORT = "short"
    """It has served before; now some, but fewer than `min_replicas`, serve."""
    UPDATE_STARTED = "update_started"
    STOP_REQUESTED = "stop_requested"
    STOPPED = "stopped"
    RESUME_REQUESTED = "resume_requested"
    PREEMPTED = "preempted"
    FAILED = "failed"
    CLUSTER_LOST = "cluster_lost"
    DELETE_REQUESTED = "delete_requested"
    DELETED = "deleted"


_P = JobPhase
_E = PhaseEvent

# What the observed facts (not wishes) do to a job that is meant to run: the same four rows wherever it is up.
_OBSERVED = {_E.QUEUED: _P.PENDING, _E.PLACED: _P.INITIALIZING, _E.READY: _P.RUNNING, _E.SHORT: _P.DEGRADED}
# What may befall a job that holds, or is about to hold, machines.
_BEFALLS = {
    _E.STOP_REQUESTED: _P.STOPPING,
    _E.PREEMPTED: _P.TERMINATING,
    _E.CLUSTER_LOST: _P.UNKNOWN,
    _E.FAILED: _P.FAILED,
    _E.DELETE_REQUESTED: _P.DELETING,
}

TRANSITIONS: Mapping[JobPhase, Mapping[PhaseEvent, JobPhase]] = MappingProxyType(
    {
        _P.CREATING: {
            _E.QUEUED: _P.PENDING,
            _E.PLACED: _P.INITIALIZING,
            _E.READY: _P.RUNNING,
            _E.STOP_REQUESTED: _P.STOPPING,
            _E.FAILED: _P.FAILED,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.PENDING: _OBSERVED | _BEFALLS,
        _P.INITIALIZING: _OBSERVED | _BEFALLS,
        _P.RUNNING: _OBSERVED | _BEFALLS | {_E.UPDATE_STARTED: _P.UPDATING},
        _P.DEGRADED: _OBSERVED | _BEFALLS | {_E.UPDATE_STARTED: _P.UPDATING},
        _P.UPDATING: _OBSERVED | _BEFALLS | {_E.UPDATE_STARTED: _P.UPDATING},
        _P.UNKNOWN: _OBSERVED | _BEFALLS,
        _P.TERMINATING: {
            _E.QUEUED: _P.PENDING,
            _E.STOP_REQUESTED: _P.STOPPING,
            _E.FAILED: _P.FAILED,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.STOPPING: {
            _E.STOP_REQUESTED: _P.STOPPING,
            _E.STOPPED: _P.STOPPED,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.STOPPED: {
            _E.STOP_REQUESTED: _P.STOPPED,
            _E.STOPPED: _P.STOPPED,
            _E.RESUME_REQUESTED: _P.RESUMING,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.RESUMING: {
            _E.QUEUED: _P.PENDING,
            _E.PLACED: _P.INITIALIZING,
            _E.READY: _P.RUNNING,
            _E.STOP_REQUESTED: _P.STOPPING,
            _E.FAILED: _P.FAILED,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.FAILED: {
            _E.FAILED: _P.FAILED,
            _E.STOP_REQUESTED: _P.STOPPING,
            _E.RESUME_REQUESTED: _P.RESUMING,
            _E.DELETE_REQUESTED: _P.DELETING,
        },
        _P.DELETING: {_E.DELETE_REQUESTED: _P.DELETING, _E.DELETED: _P.DELETED},
        _P.DELETED: {_E.DELETED: _P.DELETED},
    }
)


def transition(phase: JobPhase, event: PhaseEvent) -> JobPhase:
    """The phase that follows `phase` when `event` happens.

    Raises:
        IllegalTransition: the table has no row for the pair.
    """
    following = TRANSITIONS[phase].get(event)
    if following is None:
        raise IllegalTransition(f"a job in phase {phase} can't take the event {event}")
    return following
