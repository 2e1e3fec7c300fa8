"""`decide`: how many replicas a job shall have. Pure; called by the service once per job and tick, and by simulators.

Under construction on this branch: the signature holds, the deciding follows.
"""

from hostler_autoscaler.decision import Decision
from hostler_autoscaler.observation import Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.scaling import Scaling


def decide(state: PolicyState, observation: Observation, spec: Scaling) -> tuple[PolicyState, Decision]:
    """What to remember and what to do; `spec` has the bounds that hold now."""
    return state, Decision(spec.clamp(observation.desired), "as it is")
