"""How long to wait before the next try. Pure."""

from typing import Final, Protocol

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 60.0


class Rng(Protocol):
    """What spreads the tries."""

    def random(self) -> float:
        """A number from 0 to 1, without 1."""
        ...


def backoff_seconds(failures: int, rng: Rng) -> float:
    """Seconds before the next try after so many failures in a row: twice as long each time, spread over its upper half."""
    if failures <= 0:
        return 0.0
    longest = min(_FIRST_SECONDS * 2 ** min(failures - 1, 16), _LONGEST_SECONDS)
    spread: float = longest * (0.5 + 0.5 * rng.random())
    return spread
