"""What comes to a job: when, with how long a prompt, and how long an answer it asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Draw = Callable[[], float]
"""A number from 0 up to 1, another each time, such as the method `random` of a seeded generator."""

_COPY_SPREAD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests in order of arrival.

    Attributes:
        seconds: How long it lasts; replicas are paid for until then.
        arrivals: Seconds since its begin, never decreasing.
        prompts: Tokens of each prompt.
        answers: Tokens of each answer, 1 or more.
    """

    seconds: float
    arrivals: Sequence[float]
    prompts: Sequence[int]
    answers: Sequence[int]

    def __post_init__(self) -> None:
        if not len(self.arrivals) == len(self.prompts) == len(self.answers):
            raise ValueError("each request has an arrival, a prompt and an answer")

    def __len__(self) -> int:
        return len(self.arrivals)


def repeated(traffic: Traffic, times: int, draw: Draw) -> Traffic:
    """The same shape at several times the rate: each request again, up to 2 s later."""
    rows = list(zip(traffic.arrivals, traffic.prompts, traffic.answers, strict=True))
    copies = [
        (arrival + _COPY_SPREAD_SECONDS * draw(), prompt, answer)
        for arrival, prompt, answer in rows
        for _ in range(times - 1)
    ]
    return of_rows(traffic.seconds, sorted(rows + copies))


def between(traffic: Traffic, begin: float, end: float) -> Traffic:
    """The requests of that time, which then begins at 0."""
    return of_rows(
        end - begin,
        [
            (arrival - begin, prompt, answer)
            for arrival, prompt, answer in zip(
                traffic.arrivals, traffic.prompts, traffic.answers, strict=True
            )
            if begin <= arrival < end
        ],
    )


def of_rows(seconds: float, rows: Sequence[tuple[float, int, int]]) -> Traffic:
    """Traffic of (arrival, prompt, answer), which must be in order."""
    return Traffic(
        seconds,
        [float(row[0]) for row in rows],
        [int(row[1]) for row in rows],
        [max(1, int(row[2])) for row in rows],
    )
