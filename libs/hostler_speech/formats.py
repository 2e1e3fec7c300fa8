"""A transcript in the five forms of OpenAI's interface. Pure; called by the server.

`json`, `text`, `srt`, `vtt` and `verbose_json` are as OpenAI documents them, but that `language` is the ISO 639-1 code.
"""

import json
import math
from dataclasses import asdict
from enum import StrEnum

from hostler_speech.transcript import Segment, Transcript


class ResponseFormat(StrEnum):
    """How a transcript is written."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


class Granularity(StrEnum):
    """What gets times in `verbose_json`."""

    WORD = "word"
    SEGMENT = "segment"


def written(
    transcript: Transcript, form: ResponseFormat, granularities: frozenset[Granularity]
) -> tuple[str, str]:
    """Content type and text of a transcript."""
    match form:
        case ResponseFormat.JSON:
            return _json({"text": transcript.text, "usage": _usage(transcript)})
        case ResponseFormat.VERBOSE_JSON:
            return _json(_verbose(transcript, granularities))
        case ResponseFormat.TEXT:
            return _plain(f"{transcript.text}\n")
        case ResponseFormat.SRT:
            cues = (
                f"{number}\n{_cue(each, ',')}" for number, each in enumerate(transcript.segments, start=1)
            )
            return _plain("".join(cues))
        case ResponseFormat.VTT:
            return _plain("WEBVTT\n\n" + "".join(_cue(each, ".") for each in transcript.segments))


def _verbose(transcript: Transcript, granularities: frozenset[Granularity]) -> dict[str, object]:
    found: dict[str, object] = {
        "task": transcript.task,
        "language": transcript.language,
        "duration": round(transcript.duration_seconds, 3),
        "text": transcript.text,
    }
    if Granularity.WORD in granularities:
        found["words"] = [asdict(word) for segment in transcript.segments for word in segment.words]
    if Granularity.SEGMENT in granularities:
        found["segments"] = [_segment(number, each) for number, each in enumerate(transcript.segments)]
    return found | {"usage": _usage(transcript)}


def _segment(number: int, segment: Segment) -> dict[str, object]:
    fields = asdict(segment)
    del fields["words"]
    return {"id": number, **fields}


def _usage(transcript: Transcript) -> dict[str, object]:
    """What is counted: begun seconds, as OpenAI does."""
    return {"type": "duration", "seconds": math.ceil(transcript.duration_seconds)}


def _cue(segment: Segment, mark: str) -> str:
    # An empty line would end the cue, and an arrow would look like the times of another one.
    text = " ".join(segment.text.split()).replace("-->", "->")
    return f"{_time(segment.start, mark)} --> {_time(segment.end, mark)}\n{text}\n\n"


def _time(seconds: float, mark: str) -> str:
    milliseconds = round(max(seconds, 0.0) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _json(document: dict[str, object]) -> tuple[str, str]:
    return "application/json", json.dumps(document, ensure_ascii=False)


def _plain(text: str) -> tuple[str, str]:
    return "text/plain", text
