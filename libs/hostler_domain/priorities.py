"""Names of priorities, which are Run:ai's, and the numbers that a job keeps.

The api and its dialects read this table; the scheduler compares the numbers alone.
"""

from collections.abc import Mapping
from types import MappingProxyType

PRIORITY_CLASSES: Mapping[str, int] = MappingProxyType(
    {
        "very-low": 25,
        "low": 40,
        "medium-low": 65,
        "medium": 80,
        "medium-high": 90,
        "high": 125,
        "very-high": 150,
    }
)
"""From the lowest to the highest."""

DEFAULT_PRIORITY_CLASS = "very-high"
"""What an inference job has by default."""


def class_of(priority: int) -> str | None:
    """The name of exactly this priority; None where it has none."""
    return next((name for name, value in PRIORITY_CLASSES.items() if value == priority), None)


def nearest_class(priority: int) -> str:
    """The name of the highest class that is not above `priority`, the lowest for what is below them all."""
    below = [name for name, value in PRIORITY_CLASSES.items() if value <= priority]
    return below[-1] if below else next(iter(PRIORITY_CLASSES))
