"""`hostler keys ...`: make, see, rotate and end API keys, and count what they used.

The secret of a new key is all that goes to stdout, so that a script can take it: `KEY=$(hostler keys create ci --scope inference)`.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.limit_options import (
    Concurrency,
    ConcurrencyChange,
    Rpm,
    RpmChange,
    Tpm,
    TpmChange,
    limit_changes,
    limits_text,
    new_limits,
)
from hostler_cli.located import located, open_client
from hostler_cli.output import (
    DataFormat,
    DataOutput,
    OutputFormat,
    print_columns,
    print_json,
    say,
)

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from collections.abc import Sequence

    from hostler_client import ApiKey, IssuedApiKey

keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, see and end API keys.")

KeyId = Annotated[
    str, typer.Argument(metavar="KEY_ID", help="Id of the key; `hostler keys list` shows them.")
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print keys.")]
_HEADINGS = ("NAME", "STATUS", "PROJECT", "SCOPES", "LIMITS", "PREFIX", "LAST USED", "EXPIRES", "ID")
_USAGE_HEADINGS = ("FROM", "KEY", "REQUESTS", "FAILED", "TOKENS IN", "TOKENS OUT", "AUDIO S")


@keys_app.command("create")
@located
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for, such as ci.")],
    *,
    scope: Annotated[
        list[str],
        typer.Option(
            help="What it may do: jobs:read, jobs:write, keys:read, keys:write, inference or admin. Repeatable."
        ),
    ],
    project: Annotated[
        str | None, typer.Option(help="Whose it is; for admins. The asking key's own by default.")
    ] = None,
    allowed_job: Annotated[
        list[str] | None,
        typer.Option(metavar="JOB", help="The only job that it may touch, by id or name. Repeatable."),
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(min=0.001, metavar="DAYS", help="When it stops working; never by default.")
    ] = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Make an API key and print its secret, which nobody can read again."""
    from hostler_client import NewApiKey

    expires_at = None if expires_in is None else datetime.now(UTC) + timedelta(days=expires_in)
    wanted = NewApiKey(
        name=name,
        scopes=tuple(scope),
        project=project,
        allowed_jobs=tuple(allowed_job) if allowed_job else None,
        expires_at=expires_at,
        limits=new_limits(rpm, tpm, concurrency),
    )
    with open_client() as client:
        _print_issued(client.keys.create(wanted), output)


@keys_app.command("list")
@located
def list_keys(
    *,
    project: Annotated[str | None, typer.Option(help="Only keys of this project.")] = None,
    status: Annotated[str | None, typer.Option(help="Only keys that are active, revoked or expired.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Not more than this many.")] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List keys, newest first, ended ones too."""
    from itertools import islice

    with open_client() as client:
        found = list(islice(client.keys.list(project=project, status=status), limit))
    _print_keys(found, output)


@keys_app.command("get")
@located
def get_key(
    key_id: KeyId,
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one key."""
    with open_client() as client:
        _print_keys([client.keys.get(key_id)], output, single=True)


@keys_app.command("update")
@located
def update_key(
    key_id: KeyId,
    *,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    rpm: RpmChange = None,
    tpm: TpmChange = None,
    concurrency: ConcurrencyChange = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Give an active key another name or other limits. What it may do can't be changed: make another key."""
    from hostler_client import KeyChanges

    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = name
    if limits := limit_changes(rpm, tpm, concurrency):
        changes["limits"] = limits
    if not changes:
        raise CliError("nothing to change: name at least one option", code=ExitCode.USAGE)
    with open_client() as client:
        _print_keys([client.keys.update(key_id, KeyChanges.model_validate(changes))], output, single=True)


@keys_app.command("rotate")
@located
def rotate_key(
    key_id: KeyId,
    *,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="For how long the present secret works too.")
    ] = 3600,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Give an active key a new secret and print it."""
    with open_client() as client:
        _print_issued(client.keys.rotate(key_id, overlap_seconds=overlap_seconds), output)


@keys_app.command("revoke")
@located
def revoke_key(
    key_id: KeyId,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask; nobody is asked off a terminal anyway.")
    ] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """End a key for good; it stays in the list."""
    with open_client() as client:
        found = client.keys.get(key_id)
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            typer.confirm(
                f"Revoke the key {found.name} ({found.prefix}..., {found.status})?", abort=True, err=True
            )
        _print_keys([client.keys.revoke(key_id)], output, single=True)


@keys_app.command("usage")
@located
def key_usage(
    key_id: Annotated[
        str | None, typer.Argument(metavar="[KEY_ID]", help="One key; every key by default.")
    ] = None,
    *,
    granularity: Annotated[str, typer.Option(help="hour, day, week or month, in UTC.")] = "day",
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 2026-11-01 or 2026-11-01T12:00Z; 30 days ago by default."),
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Likewise; now by default.")] = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Count the requests and tokens of a key, or of every key, by time."""
    since, until = _moment(start, "--start"), _moment(end, "--end")
    with open_client() as client:
        report = client.keys.usage(key_id, granularity=granularity, start=since, end=until)
    if output is DataFormat.JSON:
        print_json(report)
        return
    rows = (
        (
            f"{each.start:%Y-%m-%d %H:%M}",
            each.key_id,
            str(each.requests),
            str(each.failed_requests),
            str(each.prompt_tokens),
            str(each.completion_tokens),
            f"{each.audio_seconds:g}",
        )
        for each in report.data
    )
    if report.data:
        print_columns(_USAGE_HEADINGS, rows)
    else:
        say("no usage in that time")


def _moment(text: str | None, flag: str) -> datetime | None:
    """A time as people write it; in UTC where they don't say."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            f"{flag} {text}: write a time such as 2026-11-01T12:00Z", code=ExitCode.USAGE
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_issued(key: "IssuedApiKey", output: DataFormat) -> None:
    secret = key.secret.get_secret_value()
    if output is DataFormat.JSON:
        print(json.dumps(key.model_dump(mode="json") | {"secret": secret}, indent=2, ensure_ascii=False))
    else:
        print(secret)
    say(f"key {key.name} ({key.key_id}) of {key.project}: {' '.join(key.scopes)}")
    say("this is the only time that its secret is shown")


def _print_keys(keys: "Sequence[ApiKey]", output: OutputFormat, *, single: bool = False) -> None:
    match output:
        case OutputFormat.JSON:
            print_json(keys[0] if single else keys)
        case OutputFormat.NAME | OutputFormat.ID:
            for key in keys:
                print(key.name if output is OutputFormat.NAME else key.key_id)
        case OutputFormat.TABLE:
            print_columns(
                _HEADINGS,
                (
                    (
                        key.name,
                        key.status,
                        key.project,
                        " ".join(key.scopes),
                        limits_text(key.limits),
                        key.prefix,
                        f"{key.last_used_at:%Y-%m-%d %H:00}" if key.last_used_at else "never",
                        f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never",
                        key.key_id,
                    )
                    for key in keys
                ),
            )
