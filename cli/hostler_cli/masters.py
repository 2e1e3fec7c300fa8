"""`hostler masters ...`: what is known about models. Everyone reads it, admins change it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.deploy import pairs
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import OutputFormat, print_columns, print_json, say

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from collections.abc import Sequence

    from hostler_client import ModelMaster, NewModelMaster

masters_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="See and change what is known about models."
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Hugging Face id of the model.")]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print masters.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable.")]
_HEADINGS = ("MODEL", "RUNTIME", "PROFILE", "GPUS", "CONTEXT", "PARAMETERS")
_STDIN = "-"


@masters_app.command("list")
@located
def list_masters(
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List model masters by model."""
    with open_client() as client:
        _print(list(client.masters.list()), output)


@masters_app.command("get")
@located
def get_master(
    model: Model,
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one model master; with -o json as `put -f` takes it."""
    with open_client() as client:
        _print([client.masters.get(model)], output, single=True)


@masters_app.command("put")
@located
def put_master(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Hugging Face id of the model, where no file has it."),
    ] = None,
    *,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="The whole master as JSON; - reads it from stdin."),
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Inference server, such as vllm.")] = None,
    runtime_image: Annotated[str | None, typer.Option(help="What a machine boots.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Argument that a job may change; repeatable."),
    ] = None,
    fixed_parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Argument that no job may change; repeatable."),
    ] = None,
    env: Pairs = None,
    root_disk_gb: Annotated[int | None, typer.Option(min=1, help="Disk of a replica, in GB.")] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", "-g", metavar="PROFILE", help="Recommended hardware profile.")
    ] = None,
    gpu_count: Annotated[int, typer.Option(min=0, help="Recommended GPUs per replica.")] = 0,
    context_length: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Longest prompt and answer together.")
    ] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Add a model master or put another in its place, whole: from a file, or from options. Jobs that exist keep theirs."""
    described: dict[str, object] = {
        "runtime": runtime,
        "runtime_image": runtime_image,
        "parameters": {
            **{name: {"value": each} for name, each in pairs(parameter, "--parameter").items()},
            **{
                name: {"value": each, "tunable": False}
                for name, each in pairs(fixed_parameter, "--fixed-parameter").items()
            },
        },
        "overrides": {"root_disk_gb": root_disk_gb, "env": pairs(env, "--env")},
        "hardware_profile": gpu,
        "gpu_count": gpu_count,
        "context_length_tokens": context_length,
    }
    wanted = _wanted(model, file, described)
    with open_client() as client:
        _print([client.masters.put(wanted)], output, single=True)


@masters_app.command("delete")
@located
def delete_master(
    model: Model,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask; nobody is asked off a terminal anyway.")
    ] = False,
) -> None:
    """Forget what is known about a model; jobs that exist keep what they were made from."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Delete the model master {model}?", abort=True, err=True)
    with open_client() as client:
        client.masters.delete(model)
    say(f"model master {model} is deleted")


def _wanted(model: str | None, file: str | None, described: dict[str, object]) -> "NewModelMaster":
    """The master that a file holds or that options describe.

    Raises:
        CliError: both were given or neither, or it is none.
    """
    from pydantic import ValidationError

    from hostler_client import NewModelMaster

    given_options = described["runtime"] is not None
    if (file is not None) == given_options:
        raise CliError("give --file FILE, or --runtime and what goes with it", code=ExitCode.USAGE)
    if file is None:
        if model is None:
            raise CliError("say for which MODEL", code=ExitCode.USAGE)
        return NewModelMaster.model_validate({"model": model, **described})
    try:
        text = sys.stdin.read() if file == _STDIN else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file} can't be read: {error}", code=ExitCode.USAGE) from None
    try:
        found = NewModelMaster.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CliError(
            f"{file} is no model master ({where or 'document'}: {first['msg']})", code=ExitCode.USAGE
        ) from None
    if model is not None and model != found.model:
        raise CliError(f"{file} is about {found.model}, not {model}", code=ExitCode.USAGE)
    return found


def _print(masters: "Sequence[ModelMaster]", output: OutputFormat, *, single: bool = False) -> None:
    match output:
        case OutputFormat.JSON:
            print_json(masters[0] if single else masters)
        case OutputFormat.NAME | OutputFormat.ID:
            for master in masters:
                print(master.model)
        case OutputFormat.TABLE:
            print_columns(_HEADINGS, (_row(master) for master in masters))


def _row(master: "ModelMaster") -> tuple[str, ...]:
    parameters = (
        f"{name}={each.value}" + ("" if each.tunable else " (fixed)")
        for name, each in sorted(master.parameters.items())
    )
    return (
        master.model,
        master.runtime,
        master.hardware_profile or "",
        str(master.gpu_count),
        str(master.context_length_tokens or ""),
        ", ".join(parameters),
    )
