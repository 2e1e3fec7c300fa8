"""What a request asks for, read from the fields of its form. Pure; called by the server.

Fields that OpenAI's interface has and this server does not serve are refused by name, rather than left out of the answer.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hostler_speech.formats import Granularity, ResponseFormat
from hostler_speech.transcript import Options, Task

_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
_KNOWN = (
    "model",
    "language",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities",
    "stream",
)


class BadField(ValueError):
    """A field makes no sense here.

    Attributes:
        param: Its name.
    """

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        options: For the engine.
        form: Of the answer.
        granularities: What gets times in it.
    """

    options: Options
    form: ResponseFormat
    granularities: frozenset[Granularity]


def read_form(fields: Mapping[str, Sequence[str]], task: Task) -> Asked:
    """What is asked for.

    Args:
        fields: Values by name, those of `name[]` under `name`.
        task: What the route stands for.

    Raises:
        BadField: a field is unknown, given twice, or makes no sense.
    """
    for name, values in fields.items():
        if name not in _KNOWN:
            raise BadField(name, f"The field {name[:80]!r} is not supported by this server.")
        if len(values) > 1 and name != "timestamp_granularities":
            raise BadField(name, f"The field {name!r} is given more than once.")
    one = {name: values[0] for name, values in fields.items() if values}
    if _switch(one.get("stream", "")):
        raise BadField("stream", "This server does not stream transcripts; leave 'stream' out.")
    form = _form(one.get("response_format", ResponseFormat.JSON))
    granularities = _granularities(fields.get("timestamp_granularities", ()), form)
    return Asked(
        options=Options(
            task=task,
            language=_language(one.get("language", "")),
            prompt=one.get("prompt") or None,
            temperature=_temperature(one.get("temperature", "")),
            words=Granularity.WORD in granularities,
        ),
        form=form,
        granularities=granularities,
    )


def _form(value: str) -> ResponseFormat:
    try:
        return ResponseFormat(value)
    except ValueError:
        message = f"'response_format' must be one of {', '.join(ResponseFormat)}, not {value[:80]!r}."
        raise BadField("response_format", message) from None


def _granularities(values: Sequence[str], form: ResponseFormat) -> frozenset[Granularity]:
    name = "timestamp_granularities"
    try:
        found = frozenset(Granularity(value) for value in values)
    except ValueError as error:
        raise BadField(name, f"'{name}' takes word and segment: {str(error)[:80]}.") from None
    if values and form is not ResponseFormat.VERBOSE_JSON:
        raise BadField(name, f"'{name}' needs the response_format verbose_json.")
    return found or frozenset({Granularity.SEGMENT})


def _language(value: str) -> str | None:
    if value and not _LANGUAGE.fullmatch(value):
        raise BadField("language", f"'language' must be an ISO 639-1 code such as en, not {value[:80]!r}.")
    return value or None


def _temperature(value: str) -> float:
    try:
        number = float(value or 0)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise BadField("temperature", f"'temperature' must be a number from 0 to 1, not {value[:80]!r}.")
    return number


def _switch(value: str) -> bool:
    if value.lower() not in (*_TRUE, *_FALSE):
        raise BadField("stream", f"'stream' must be true or false, not {value[:80]!r}.")
    return value.lower() in _TRUE
