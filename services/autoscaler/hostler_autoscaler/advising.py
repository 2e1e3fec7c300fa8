"""What the owner of a job might change, with the evidence."""

from hostler_autoscaler.decision import Advice
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene
from hostler_domain.scaling import Scaling


def advised(
    state: PolicyState, scene: Scene, spec: Scaling, needed: int
) -> tuple[PolicyState, tuple[Advice, ...]]:
    """The advice that holds, and the state that remembers it."""
    return state, ()
