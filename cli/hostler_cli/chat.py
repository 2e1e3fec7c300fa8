"""`hostler chat`: talk to a job through the stock OpenAI client, as any caller would."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.completion import job_names
from hostler_cli.context import ApiKeyFile, DataDir, Flags, RouterUrl, find
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CODE_OF_STATUS, HINT_OF_STATUS, CliError
from hostler_cli.output import DataFormat, DataOutput, say

if TYPE_CHECKING:
    # Two thirds of a second: loaded when there is something to ask.
    from httpx2 import Request
    from openai import APIStatusError, OpenAI
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

    from hostler_client import Connection

SYSTEM_PROMPT = "You are a helpful assistant."
"""Neutral on purpose: small models answer much worse under the prompt that their own template puts in when there is none."""


def chat(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB", autocompletion=job_names, help="Id or name of the job, or PROJECT/NAME."
        ),
    ],
    *,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", "-p", help="Ask this and end; else stdin is asked, on a terminal line by line."
        ),
    ] = None,
    system: Annotated[
        str, typer.Option("--system", "-s", help="How the model shall behave.")
    ] = SYSTEM_PROMPT,
    tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="How freely it chooses its words.")
    ] = 0.2,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Longest silence to bear.")
    ] = 600.0,
    output: DataOutput = DataFormat.TABLE,
    router_url: RouterUrl = None,
    api_key_file: ApiKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a job's model something. With -o json the whole completion is printed when it is there."""
    connection = find(
        Flags(router_url=router_url, api_key_file=api_key_file, data_dir=data_dir), needs_router=True
    )
    interactive = prompt is None and sys.stdin.isatty()
    if prompt is None and not interactive:
        prompt = sys.stdin.read().strip()
    if prompt is not None and not prompt.strip():
        raise CliError("nothing to ask: the prompt is empty", code=ExitCode.USAGE)
    conversation = Conversation(
        openai_client(connection, timeout_seconds=timeout),
        model=job,
        system=system,
        tokens=tokens,
        temperature=temperature,
    )
    questions = [prompt] if prompt is not None else _typed_lines()
    with translated_errors(connection.router_url or ""):
        for question in questions:
            try:
                if output is DataFormat.JSON:
                    print(conversation.ask_whole(question).model_dump_json(indent=2), flush=True)
                else:
                    _print_answer(conversation, question, stream=not no_stream)
            except KeyboardInterrupt:
                if not interactive:
                    raise
                say("\n(interrupted)")


def openai_client(connection: "Connection", *, timeout_seconds: float) -> "OpenAI":
    """The stock client at a router, with connections that no proxy of the environment comes between on this machine."""
    import httpx2
    from openai import OpenAI

    from hostler_client import http_options

    address = connection.router_url or ""
    return OpenAI(
        base_url=f"{address}/v1",
        api_key=connection.api_key or "none",
        timeout=timeout_seconds,
        http_client=httpx2.Client(
            verify=http_options.verify(address),
            trust_env=http_options.trust_env(address),
            timeout=http_options.timeout(timeout_seconds),
            follow_redirects=False,
            event_hooks={"request": [] if connection.api_key else [_without_key]},
        ),
    )


def _without_key(request: "Request") -> None:
    """A public job needs no key and a made-up one would be refused; the stock client insists on having one."""
    request.headers.pop("Authorization", None)


class Conversation:
    """Questions and answers so far, which go with the next question."""

    def __init__(self, client: "OpenAI", *, model: str, system: str, tokens: int, temperature: float) -> None:
        self.usage: CompletionUsage | None = None
        """Of the latest answer, where the server told it."""
        self._client = client
        self._model = model
        self._tokens = tokens
        self._temperature = temperature
        self._messages: list[ChatCompletionMessageParam] = []
        if system:
            self._messages.append({"role": "system", "content": system})

    def ask(self, question: str) -> Iterator[str]:
        """The answer in pieces as they come; one that was cut off stays in the conversation as far as it got."""
        self.usage = None
        self._messages.append({"role": "user", "content": question})
        answer: list[str] = []
        try:
            with self._client.chat.completions.create(
                model=self._model,
                messages=self._messages,
                max_tokens=self._tokens,
                temperature=self._temperature,
                stream=True,
                stream_options={"include_usage": True},
            ) as chunks:
                for chunk in chunks:
                    if chunk.usage is not None:
                        self.usage = chunk.usage
                    for choice in chunk.choices:
                        if choice.delta.content:
                            answer.append(choice.delta.content)
                            yield choice.delta.content
        finally:
            self._messages.append({"role": "assistant", "content": "".join(answer)})

    def ask_whole(self, question: str) -> "ChatCompletion":
        """The completion when it is there."""
        self._messages.append({"role": "user", "content": question})
        completion = self._client.chat.completions.create(
            model=self._model,
            messages=self._messages,
            max_tokens=self._tokens,
            temperature=self._temperature,
        )
        self.usage = completion.usage
        self._messages.append({"role": "assistant", "content": _text(completion)})
        return completion


def usage_text(usage: "CompletionUsage") -> str:
    """What an answer took."""
    return (
        f"{usage.prompt_tokens} prompt + {usage.completion_tokens} completion = {usage.total_tokens} tokens"
    )


def _text(completion: "ChatCompletion") -> str:
    return (completion.choices[0].message.content or "") if completion.choices else ""


def _print_answer(conversation: Conversation, question: str, *, stream: bool) -> None:
    if stream:
        for piece in conversation.ask(question):
            print(piece, end="", flush=True)
        print(flush=True)
    else:
        print(_text(conversation.ask_whole(question)), flush=True)
    if conversation.usage is not None:
        say(f"usage: {usage_text(conversation.usage)}")


def _typed_lines() -> Iterator[str]:
    """Questions from the terminal until its end is typed; empty ones are passed over."""
    import readline  # noqa: F401 - gives `input` its line editing

    say("ask something; Ctrl-D ends")
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        try:
            line = input()
        except EOFError:
            say("")
            return
        if line.strip():
            yield line


@contextmanager
def translated_errors(address: str) -> Iterator[None]:
    """Errors of the OpenAI client as ours."""
    import openai

    try:
        yield
    except openai.APITimeoutError:
        raise CliError(
            f"no answer from {address} in time", code=ExitCode.TIMEOUT, hint="--timeout sets how long"
        ) from None
    except openai.APIConnectionError as error:
        raise CliError(
            f"no answer from {address}: {error.__cause__ or error}",
            hint="is it running? `hostler status` and `hostler doctor` tell",
        ) from None
    except openai.APIStatusError as error:
        raise CliError(
            _message(error),
            code=CODE_OF_STATUS.get(error.status_code, ExitCode.FAILURE),
            hint=HINT_OF_STATUS.get(error.status_code, ""),
            request_id=error.request_id,
        ) from None
    except openai.APIError as error:
        raise CliError(f"the answer broke off: {error.message}") from None


def _message(error: "APIStatusError") -> str:
    """The sentence inside the error object, without the client's own wrapping of it."""
    body: object = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else error.message
