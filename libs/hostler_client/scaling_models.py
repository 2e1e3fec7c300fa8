"""What the API answers about scaling: decisions, as pydantic models that are read leniently."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from hostler_client.models import Scaling


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Proposal(_Answer):
    """A number of replicas that one consideration asked for, in a sentence with its figures."""

    kind: str
    replicas: int
    sentence: str = ""
    numbers: Mapping[str, float] = {}


class Advice(_Answer):
    """One thing that the job's owner might change, with the evidence."""

    kind: str
    sentence: str = ""
    numbers: Mapping[str, float] = {}


class ShadowDecision(_Answer):
    """What the shadow policy would have decided at the same moment."""

    replicas: int
    reason: str = ""
    hold: bool = False
    proposals: tuple[Proposal, ...] = ()
    scaling: Scaling | None = None


class ScalingDecision(_Answer):
    """One decision of the autoscaler. `inputs` and `state` are what it was made from; `bounds` says why they were narrower than the job's."""

    sequence: int
    at: datetime
    previous_replicas: int
    replicas: int
    kind: str = ""
    reason: str = ""
    hold: bool = False
    proposals: tuple[Proposal, ...] = ()
    advice: tuple[Advice, ...] = ()
    scaling: Scaling | None = None
    bounds: tuple[str, ...] = ()
    inputs: Mapping[str, JsonValue] = {}
    state: str = ""
    shadow: ShadowDecision | None = None


class DecisionPage(_Answer):
    """One page of decisions, oldest first."""

    data: tuple[ScalingDecision, ...]
    has_more: bool = False
    next: int | None = None
