"""What `/metrics` of the transcription server shows."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Figures:
    """The figures of one process."""

    def __init__(self, *, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        at_work = Gauge("hostler_speech_requests_running", "Transcriptions at work.", registry=self._registry)
        at_work.set_function(running)
        in_line = Gauge(
            "hostler_speech_requests_waiting",
            "Transcriptions that wait for a thread.",
            registry=self._registry,
        )
        in_line.set_function(waiting)
        self._requests = Counter(
            "hostler_speech_requests",
            "Requests that were answered, by path and status.",
            ("route", "code"),
            registry=self._registry,
        )
        self._audio_seconds = Counter(
            "hostler_speech_audio_seconds",
            "Length of the audio that was transcribed.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "hostler_speech_request_seconds",
            "From a request's first byte to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def transcribed(self, audio_seconds: float) -> None:
        """So much audio was listened to."""
        self._audio_seconds.inc(audio_seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' form."""
        return generate_latest(self._registry)
