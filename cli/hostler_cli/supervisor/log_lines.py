"""A log line of a service, rendered for people: `router-1 | 12:00:01 info  request done  ms=12 job=...`.

Services log JSON, the servers log plain text; what is not a JSON object passes through as it is.
"""

import json
from typing import Final

_TIME_KEYS: Final = ("timestamp", "time", "ts")
_LEVEL_COLOURS: Final = {
    "debug": "2",
    "warning": "33",
    "warn": "33",
    "error": "31",
    "critical": "31;1",
    "fatal": "31;1",
}
_NAME_COLOURS: Final = ("36", "32", "35", "34", "33", "96", "92", "95")
_LEFT_OUT: Final = frozenset({*_TIME_KEYS, "level", "event", "message", "service", "exception"})
"""What has its own place in the line, or repeats the prefix."""


def render(name: str, line: str, *, width: int, colour: bool) -> str:
    """Give the line with its process's name before it, padded to the width of the longest name."""
    prefix = f"{name:<{width}} |"
    if colour:
        shade = _NAME_COLOURS[sum(name.encode()) % len(_NAME_COLOURS)]
        prefix = _paint(prefix, shade)
    return "\n".join(f"{prefix} {part}" for part in _text_of(line, colour=colour).split("\n"))


def _text_of(line: str, *, colour: bool) -> str:
    record = _json_object(line)
    if record is None:
        return line
    level = str(record.get("level", ""))
    event = str(record.get("event", record.get("message", "")))
    if colour and level in _LEVEL_COLOURS:
        level_text = _paint(f"{level:<5}", _LEVEL_COLOURS[level])
    else:
        level_text = f"{level:<5}"
    pairs = " ".join(
        f"{key}={_value(value)}"
        for key, value in record.items()
        if key not in _LEFT_OUT and value is not None
    )
    head = " ".join(part for part in (_clock(record), level_text, event) if part)
    traceback = record.get("exception")
    return "\n".join(
        [f"{head}  {pairs}".rstrip(), *(str(traceback).rstrip().split("\n") if traceback else [])]
    )


def _json_object(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _clock(record: dict[str, object]) -> str:
    for key in _TIME_KEYS:
        stamp = record.get(key)
        if isinstance(stamp, str):
            # 2026-11-21T12:00:01.234Z: people at a terminal know the date.
            _, _, clock = stamp.partition("T")
            return (clock or stamp)[:12].rstrip("Z")
    return ""


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return json.dumps(text) if " " in text else text


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
