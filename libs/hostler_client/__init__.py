"""Python client of Hostler's native API, blocking and asynchronous.

    from hostler_client import HostlerClient, NewJob

    with HostlerClient.from_environment() as client:
        job = client.jobs.create(NewJob(model="HuggingFaceTB/SmolLM2-135M-Instruct"))
        client.jobs.wait(job.job_id, timeout_seconds=300)

The command line, the demo and users' own programs call it. Models are asked through any OpenAI client at the router's
address; this one manages jobs. The twins share everything but the sending: requests and answers are made and read in
`jobs_api`, what to do with a failure is decided in `retrying`, and a wait is judged in `waiting`.
"""

from hostler_client.async_client import AsyncHostlerClient
from hostler_client.catalogue_models import (
    HardwareProfile,
    ModelMaster,
    NewHardwareProfile,
    NewMasterOverrides,
    NewMasterParameter,
    NewModelMaster,
)
from hostler_client.connection import Connection, NotConfigured
from hostler_client.errors import (
    ApiError,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    JobFailed,
    NotFound,
    PreconditionFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
    WaitTimeout,
)
from hostler_client.job_changes import (
    JobChanges,
    RoutingChanges,
    ScalingChanges,
    ServingChanges,
    TimeoutsChanges,
)
from hostler_client.models import (
    Condition,
    DeadLetter,
    DeadLetterWithMessage,
    Explanation,
    Job,
    JobEvent,
    JobMetrics,
    JobPage,
    MetricSeries,
    Replica,
    ReplicaLog,
    Sample,
)
from hostler_client.new_job import (
    NewExternal,
    NewJob,
    NewRouting,
    NewScaling,
    NewServing,
    NewShadow,
    NewTarget,
    NewTimeouts,
    NewWindow,
)
from hostler_client.retrying import RetryPolicy
from hostler_client.scaling_models import (
    Advice,
    Proposal,
    Replay,
    ScalingDecision,
    ShadowDecision,
    Simulation,
)
from hostler_client.sync_client import HostlerClient
from hostler_client.tenancy_models import (
    ApiKey,
    AuditRecord,
    IssuedApiKey,
    KeyChanges,
    KeyUsage,
    KeyUsageReport,
    Limits,
    NewApiKey,
    NewLimits,
    NewProject,
    Project,
    ProjectChanges,
)
from hostler_client.waiting import Until

__all__ = [
    "Advice",
    "ApiError",
    "ApiKey",
    "AsyncHostlerClient",
    "AuditRecord",
    "ClientError",
    "Condition",
    "Conflict",
    "Connection",
    "DeadLetter",
    "DeadLetterWithMessage",
    "Explanation",
    "Forbidden",
    "HardwareProfile",
    "HostlerClient",
    "Invalid",
    "IssuedApiKey",
    "Job",
    "JobChanges",
    "JobEvent",
    "JobFailed",
    "JobMetrics",
    "JobPage",
    "KeyChanges",
    "KeyUsage",
    "KeyUsageReport",
    "Limits",
    "MetricSeries",
    "ModelMaster",
    "NewApiKey",
    "NewExternal",
    "NewHardwareProfile",
    "NewJob",
    "NewLimits",
    "NewMasterOverrides",
    "NewMasterParameter",
    "NewModelMaster",
    "NewProject",
    "NewRouting",
    "NewScaling",
    "NewServing",
    "NewShadow",
    "NewTarget",
    "NewTimeouts",
    "NewWindow",
    "NotConfigured",
    "NotFound",
    "PreconditionFailed",
    "Project",
    "ProjectChanges",
    "Proposal",
    "Replay",
    "Replica",
    "ReplicaLog",
    "RetryPolicy",
    "RoutingChanges",
    "Sample",
    "ScalingChanges",
    "ScalingDecision",
    "ServingChanges",
    "ShadowDecision",
    "Simulation",
    "TimeoutsChanges",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Until",
    "WaitTimeout",
]
