"""What the policy carries from one decision to the next, as a small JSON value: in `job.scaled`, and in a bucket between changes."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class PolicyState:
    """The memory of one job's scaling; a fresh one knows nothing and is cautious."""

    def to_json(self) -> str:
        """Compact, with the same bytes for the same state."""
        return "{}"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The state that was written; what another version wrote, or nobody, reads as fresh."""
        return cls()
