"""How many replicas to ask for beyond those that are missing, because some launches come to nothing."""

from hostler_autoscaler.observation import Observation

LAUNCHES_MIN = 5
"""Of fewer launches one that failed counts as one of so many: a first failure is no rule."""
CHANCE_SHARE_MAX = 0.6
"""Where more fail it is no chance: an image that does not start, a site that is full. More of the same would not come either."""


def insurance(observation: Observation, needed: int) -> int:
    """So many more that those that come are as many as are missing, if launches fail as often as they did lately.

    Only what is missing is insured: replicas that serve have come already. So it shrinks as they come, and nothing is asked for twice.
    """
    missing = max(needed - observation.ready, 0)
    share = observation.failed_boots / max(observation.launches, LAUNCHES_MIN)
    if not missing or share > CHANCE_SHARE_MAX:
        return 0
    return round(missing * share / (1 - share))
