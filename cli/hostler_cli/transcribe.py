"""`hostler transcribe`: what is said in a recording, through the stock OpenAI client, as any caller would ask."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hostler_cli.chat import openai_client, translated_errors
from hostler_cli.context import ApiKeyFile, DataDir, Flags, RouterUrl, find
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError

DEFAULT_MODEL = "Systran/faster-whisper-tiny.en"
"""Names the job as long as only one serves it."""


class TranscriptFormat(StrEnum):
    """How a transcript is written."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


def transcribe(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recording: WAV, MP3, FLAC, M4A, OGG, ...")
    ],
    *,
    job: Annotated[
        str,
        typer.Option("--job", "--model", "-j", metavar="JOB", help="Id or name of the job, or its model."),
    ] = DEFAULT_MODEL,
    form: Annotated[
        TranscriptFormat, typer.Option("--format", "-f", help="How to write it.")
    ] = TranscriptFormat.TEXT,
    language: Annotated[
        str | None, typer.Option(help="ISO 639-1 code of what is spoken, where the model is to be told.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Names and words that are likely to be said.")] = None,
    words: Annotated[
        bool, typer.Option("--words", help="With verbose_json: when each word is said as well.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait.")] = 600.0,
    router_url: RouterUrl = None,
    api_key_file: ApiKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Write down what is said in a recording, with a job that serves a model for speech."""
    if words and form is not TranscriptFormat.VERBOSE_JSON:
        raise CliError("--words goes with --format verbose_json", code=ExitCode.USAGE)
    content = _read(file)
    connection = find(
        Flags(router_url=router_url, api_key_file=api_key_file, data_dir=data_dir), needs_router=True
    )
    client = openai_client(connection, timeout_seconds=timeout)
    from openai import omit

    with translated_errors(connection.router_url or ""):
        answer = client.audio.transcriptions.with_raw_response.create(
            file=(file.name, content),
            model=job,
            response_format=form.value,
            language=language or omit,
            prompt=prompt or omit,
            timestamp_granularities=["word", "segment"] if words else omit,
        )
    text: str = answer.text
    print(text.rstrip("\n"), flush=True)


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CliError(f"{file} can't be read: {error.strerror}", code=ExitCode.USAGE) from None
    if not content:
        raise CliError(f"{file} is empty", code=ExitCode.USAGE)
    return content
