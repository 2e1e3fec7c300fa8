"""What a shell offers while a command is typed: names of jobs, asked from the API, and of contexts.

Typer calls these on Tab (`hostler --install-completion` sets that up). Whoever presses it waits, so nothing is tried twice, and what goes
wrong offers nothing and says nothing.
"""

import os
from pathlib import Path

import typer

from hostler_cli.config_file import config_path, load
from hostler_cli.context import Flags, find
from hostler_cli.failures import CliError

_TIMEOUT_SECONDS = 1.5
_NAMES_MAX = 200


def job_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the newest jobs of the project that begin so."""
    from hostler_client import ClientError, HostlerClient, RetryPolicy

    try:
        connection = find(_flags(ctx))
        with HostlerClient(
            api_url=connection.api_url,
            api_key=connection.api_key,
            timeout_seconds=_TIMEOUT_SECONDS,
            retry=RetryPolicy(attempts=1),
        ) as client:
            page = client.jobs.page(project=_given(ctx, "project"), limit=_NAMES_MAX)
    except (CliError, ClientError):
        return []
    return [job.name for job in page.data if job.name.startswith(incomplete)]


def context_names(incomplete: str) -> list[str]:
    """Names of contexts that begin so."""
    try:
        names = load(config_path(os.environ)).contexts
    except CliError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def _flags(ctx: typer.Context) -> Flags:
    """Where the half-typed command would look."""
    key_file, data_dir = _given(ctx, "api_key_file"), _given(ctx, "data_dir")
    return Flags(
        api_url=_given(ctx, "api_url"),
        api_key_file=Path(key_file) if key_file else None,
        data_dir=Path(data_dir) if data_dir else None,
        context=_given(ctx.find_root(), "context"),
    )


def _given(ctx: object, name: str) -> str | None:
    params = getattr(ctx, "params", {})
    value = params.get(name)
    return str(value) if value else None
