"""Transcripts in the five forms of OpenAI's interface."""

import json

import pytest

from hostler_speech.formats import Granularity, ResponseFormat, written
from hostler_speech.transcript import Segment, Task, Transcript, Word

HELLO = Segment(0.0, 1.5, " Hello there.", words=(Word("Hello", 0.0, 0.6), Word("there.", 0.7, 1.5)))
LATER = Segment(3661.5, 3662.0296, " Bye\n\n--> all.", tokens=(1, 2), no_speech_prob=0.25)
TRANSCRIPT = Transcript(Task.TRANSCRIBE, "en", 3662.2, (HELLO, LATER))
SEGMENTS = frozenset({Granularity.SEGMENT})


def text_of(form: ResponseFormat, granularities=SEGMENTS, transcript=TRANSCRIPT) -> str:
    return written(transcript, form, granularities)[1]


def test_json_is_the_text_and_its_length_in_begun_seconds():
    content_type, text = written(TRANSCRIPT, ResponseFormat.JSON, SEGMENTS)

    assert content_type == "application/json"
    assert json.loads(text) == {
        "text": "Hello there. Bye\n\n--> all.",
        "usage": {"type": "duration", "seconds": 3663},
    }


def test_text_is_a_line():
    assert written(TRANSCRIPT, ResponseFormat.TEXT, SEGMENTS) == (
        "text/plain",
        "Hello there. Bye\n\n--> all.\n",
    )


def test_srt_numbers_its_cues_and_has_commas_in_its_times():
    assert text_of(ResponseFormat.SRT) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n01:01:01,500 --> 01:01:02,030\nBye -> all.\n\n"
    )


def test_vtt_has_a_head_and_points_in_its_times():
    assert text_of(ResponseFormat.VTT) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n01:01:01.500 --> 01:01:02.030\nBye -> all.\n\n"
    )


@pytest.mark.parametrize(
    ("granularities", "present"),
    [
        ({Granularity.SEGMENT}, {"segments"}),
        ({Granularity.WORD}, {"words"}),
        ({Granularity.WORD, Granularity.SEGMENT}, {"words", "segments"}),
    ],
    ids=["segments", "words", "both"],
)
def test_verbose_json_has_the_times_that_were_asked_for(granularities, present):
    found = json.loads(text_of(ResponseFormat.VERBOSE_JSON, frozenset(granularities)))

    assert set(found) == {"task", "language", "duration", "text", "usage"} | present
    assert (found["task"], found["language"], found["duration"]) == ("transcribe", "en", 3662.2)
    if "words" in present:
        assert found["words"] == [
            {"word": "Hello", "start": 0.0, "end": 0.6},
            {"word": "there.", "start": 0.7, "end": 1.5},
        ]
    if "segments" in present:
        assert [(each["id"], each["start"], each["text"]) for each in found["segments"]] == [
            (0, 0.0, " Hello there."),
            (1, 3661.5, " Bye\n\n--> all."),
        ]
        assert (found["segments"][1]["tokens"], found["segments"][1]["no_speech_prob"]) == ([1, 2], 0.25)


@pytest.mark.parametrize("form", list(ResponseFormat))
def test_silence_has_every_form_too(form):
    silence = Transcript(Task.TRANSCRIBE, "en", 1.0, ())
    text = text_of(form, transcript=silence)
    assert text.strip() in ("", "WEBVTT") or json.loads(text)["text"] == ""
