"""`hostler events dead-letters ...`: what consumers have given up, for admins. Nothing is lost with a dead letter: it waits to be replayed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import DataFormat, DataOutput, print_columns, print_json, say

if TYPE_CHECKING:
    from hostler_client import DeadLetter, DeadLetterWithMessage  # for signatures; loaded when a command runs

events_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look after the messages between the services."
)
dead_letters_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Messages that a consumer has given up."
)
events_app.add_typer(dead_letters_app, name="dead-letters")

HEADINGS = ("ID", "STATE", "FAILURES", "GIVEN UP", "SUBJECT", "REASON")

LetterId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it, such as JOBS.ledger.42.")]
Consumer = Annotated[str | None, typer.Option(help="Only those that this consumer has given up.")]


@dead_letters_app.command("list")
@located
def list_dead_letters(
    *,
    consumer: Consumer = None,
    state: Annotated[
        str | None, typer.Option(help="Only those that are Waiting, Replayed or Discarded.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """List dead letters of the last 30 days, latest first, without their bodies."""
    with open_client() as client:
        letters = list(client.dead_letters.list(consumer=consumer, state=state))
    _print(letters, DataFormat.JSON if json_ else output)


@dead_letters_app.command("show")
@located
def show_dead_letter(
    letter: LetterId,
    *,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Show one dead letter with the headers and the body of its message."""
    with open_client() as client:
        found = client.dead_letters.get(letter)
    if output is DataFormat.JSON:
        print_json(found)
        return
    for line in letter_lines(found):
        print(line)


@dead_letters_app.command("replay")
@located
def replay_dead_letters(
    letter: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which one, or --all.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that wait, of one consumer.")] = False,
    consumer: Consumer = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Hand a message, or all that wait, to the consumer that gave it up. What fails again is a dead letter again."""
    if (letter is None) != every or (consumer is None) == every:
        raise CliError(
            "name one dead letter, or all of one consumer",
            code=ExitCode.USAGE,
            hint="hostler events dead-letters replay ID, or replay --all --consumer NAME",
        )
    from hostler_client import Conflict

    with open_client() as client:
        if letter is not None:
            _print([client.dead_letters.replay(letter)], output)
            return
        # All are listed before the first is replayed: one that fails again at once is not replayed for ever.
        waiting = list(client.dead_letters.list(consumer=consumer, state="Waiting"))
        replayed, refused = [], []
        for each in waiting:
            try:
                replayed.append(client.dead_letters.replay(each.id))
            except Conflict as error:
                refused.append(error)
    _print(replayed, output)
    if refused:
        raise refused[0]


@dead_letters_app.command("discard")
@located
def discard_dead_letter(
    letter: LetterId,
    *,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Note that a dead letter needs nothing. It stays readable for 30 days."""
    with open_client() as client:
        _print([client.dead_letters.discard(letter)], output)


def letter_row(letter: "DeadLetter", now: datetime) -> tuple[str, ...]:
    """One line of the table."""
    from hostler_cli.job_text import age

    given_up = f"{age(letter.given_up_at, now)} ago"
    return (letter.id, letter.state, str(letter.failures), given_up, letter.subject, letter.reason)


def letter_lines(found: "DeadLetterWithMessage") -> Iterator[str]:
    """One letter as text: what is known of it, then the message as it was sent."""
    handled = f" by {found.handled_by} at {found.handled_at:%Y-%m-%d %H:%M:%S}" if found.handled_at else ""
    yield f"{found.id} is {found.state}{handled}: given up {found.failures} times, replayed {found.replays} times"
    yield f"  at {found.given_up_at:%Y-%m-%d %H:%M:%S} after {found.deliveries} deliveries: {found.reason}"
    yield f"  subject {found.subject or 'unknown'}"
    yield from (f"  {name}: {value}" for name, value in sorted(found.headers.items()))
    yield ""
    if found.body is None:
        yield "(the body was not copied: it is large, or the message was gone)"
    else:
        yield found.body if found.body_encoding == "utf-8" else f"(base64) {found.body}"


def _print(letters: "Sequence[DeadLetter]", output: DataFormat) -> None:
    if output is DataFormat.JSON:
        print_json(letters)
    elif letters:
        now = datetime.now(UTC)
        print_columns(HEADINGS, (letter_row(letter, now) for letter in letters))
    else:
        say("no dead letters")
