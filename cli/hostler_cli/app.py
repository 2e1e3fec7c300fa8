"""The `hostler` command: all of its parts registered, and the one place where errors become text and exit codes.

What a command needs beyond its options is imported when it runs: most of them never load the API client, and `--help` loads
nothing.
"""

import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from hostler_cli import stack_commands
from hostler_cli.audit import audit
from hostler_cli.chat import chat
from hostler_cli.completion import context_names
from hostler_cli.context import context_option
from hostler_cli.contexts import contexts_app
from hostler_cli.deploy import deploy
from hostler_cli.events import events_app
from hostler_cli.explain import explain
from hostler_cli.failures import explain as explain_failure
from hostler_cli.job_replicas import scale
from hostler_cli.jobs import jobs_app
from hostler_cli.keys import keys_app
from hostler_cli.logs import logs
from hostler_cli.machines import workspace
from hostler_cli.masters import masters_app
from hostler_cli.metrics import metrics
from hostler_cli.output import say
from hostler_cli.profiles import profiles_app
from hostler_cli.projects import projects_app
from hostler_cli.shadow import shadow_app
from hostler_cli.simulate import simulate
from hostler_cli.transcribe import transcribe

_EPILOG = (
    "Exit codes: 0 ok, 1 failure, 2 wrong usage or a request that is not valid, 3 not found, 4 not allowed, 5 conflict, "
    "6 timeout, 130 interrupted."
)


class _HostlerGroup(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer hides the parent of its Context
        try:
            return super().invoke(ctx)
        except Exception as error:  # the outermost place: what nobody explains goes on with its traceback
            failure = explain_failure(error)
            if failure is None:
                raise
            sys.stdout.flush()
            for line in failure.lines:
                say(line)
            raise typer.Exit(failure.code) from None


app = typer.Typer(
    name="hostler",
    cls=_HostlerGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"hostler {version('hostler')}")
    except PackageNotFoundError:
        print("hostler, run from its source without being installed")
    raise typer.Exit


@app.callback()
def hostler(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=context_names,
            help="Talk to the installation that `hostler context set` gave this name. [env var: HOSTLER_CONTEXT]",
        ),
    ] = None,
) -> None:
    """Run open models as managed inference jobs.

    Start a stack on this machine with `hostler up --detach`, serve a model with `hostler deploy MODEL --wait`, and talk to it
    with `hostler chat JOB`.
    """
    del version  # its callback has done everything
    context_option.set(context)


app.command()(deploy)
app.command()(workspace)
app.add_typer(jobs_app, name="jobs")
app.add_typer(events_app, name="events")
app.add_typer(keys_app, name="keys")
app.add_typer(projects_app, name="projects")
app.add_typer(masters_app, name="masters")
app.add_typer(profiles_app, name="profiles")
app.add_typer(contexts_app, name="context")
app.add_typer(shadow_app, name="shadow")
app.command()(audit)
app.command()(chat)
app.command()(transcribe)
app.command()(explain)
app.command()(scale)
app.command()(simulate)
app.command()(logs)
app.command()(metrics)
stack_commands.register(app)
