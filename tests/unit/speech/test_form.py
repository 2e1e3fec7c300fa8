"""What the fields of a form ask for, and which make no sense."""

import pytest

from hostler_speech.form import Asked, BadField, read_form
from hostler_speech.formats import Granularity, ResponseFormat
from hostler_speech.transcript import Options, Task

SEGMENTS = frozenset({Granularity.SEGMENT})


def read(task=Task.TRANSCRIBE, **fields: str | list[str]) -> Asked:
    given = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
    return read_form(given, task)


def test_a_form_that_says_nothing_asks_for_json():
    assert read(model="whisper-1") == Asked(Options(), ResponseFormat.JSON, SEGMENTS)


def test_every_field_arrives_where_it_belongs():
    asked = read(
        Task.TRANSLATE,
        language="de",
        prompt="Hostler",
        temperature="0.4",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        stream="false",
    )

    assert asked.options == Options(Task.TRANSLATE, "de", "Hostler", 0.4, words=True)
    assert asked.form is ResponseFormat.VERBOSE_JSON
    assert asked.granularities == frozenset(Granularity)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"language": "English!"}, "language"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"stream": "true"}, "stream"),
        ({"stream": "perhaps"}, "stream"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        (
            {"timestamp_granularities": ["letter"], "response_format": "verbose_json"},
            "timestamp_granularities",
        ),
        ({"language": ["en", "de"]}, "language"),
        ({"chunking_strategy": "auto"}, "chunking_strategy"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_field_that_makes_no_sense_here_is_refused_by_name(fields, param):
    with pytest.raises(BadField) as refused:
        read(**fields)

    assert refused.value.param == param
    assert param in str(refused.value)
