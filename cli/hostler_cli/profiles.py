"""`hostler profiles ...`: the kinds of machine that replicas can ask for. Everyone reads them, admins change them."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import OutputFormat, print_columns, print_json, say

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from collections.abc import Sequence

    from hostler_client import HardwareProfile

profiles_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="See and change hardware profiles."
)

Name = Annotated[str, typer.Argument(metavar="PROFILE", help="Name of the hardware profile.")]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print profiles.")]
_GPU_MODEL_HELP = "Model of the GPU as nodes report it; none for a profile without GPUs."
_DEVICE_HELP = "Name of the device at the cluster, such as nvidia.com/GA100_A100_SXM4_80GB."
_CPU_HELP = "CPUs per GPU, or of the whole replica where it has none."
_MEMORY_HELP = "Memory likewise, in GiB."
_PRICE_HELP = "What an hour of it costs."
_HEADINGS = ("NAME", "GPU", "DEVICE", "CPUS", "MEMORY GIB", "PRICE/H")
_GIB = 2**30


@profiles_app.command("list")
@located
def list_profiles(
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List hardware profiles by name."""
    with open_client() as client:
        _print(list(client.profiles.list()), output)


@profiles_app.command("get")
@located
def get_profile(
    name: Name,
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one hardware profile."""
    with open_client() as client:
        _print([client.profiles.get(name)], output, single=True)


@profiles_app.command("create")
@located
def create_profile(
    name: Name,
    *,
    cpu_cores: Annotated[float, typer.Option(min=0.001, help=_CPU_HELP)],
    memory_gib: Annotated[float, typer.Option(min=0.001, help=_MEMORY_HELP)],
    gpu_model: Annotated[str | None, typer.Option(help=_GPU_MODEL_HELP)] = None,
    device_name: Annotated[str | None, typer.Option(help=_DEVICE_HELP)] = None,
    price_per_hour: Annotated[float, typer.Option(min=0.0, help=_PRICE_HELP)] = 0.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Add a hardware profile."""
    from hostler_client import NewHardwareProfile

    wanted = NewHardwareProfile(
        name=name,
        gpu_model=gpu_model,
        device_name=device_name,
        cpu_cores=cpu_cores,
        memory_bytes=round(memory_gib * _GIB),
        price_per_hour=price_per_hour,
    )
    with open_client() as client:
        _print([client.profiles.create(wanted)], output, single=True)


@profiles_app.command("update")
@located
def update_profile(
    name: Name,
    *,
    cpu_cores: Annotated[float | None, typer.Option(min=0.001, help=_CPU_HELP)] = None,
    memory_gib: Annotated[float | None, typer.Option(min=0.001, help=_MEMORY_HELP)] = None,
    gpu_model: Annotated[str | None, typer.Option(help=_GPU_MODEL_HELP)] = None,
    device_name: Annotated[str | None, typer.Option(help=_DEVICE_HELP)] = None,
    price_per_hour: Annotated[float | None, typer.Option(min=0.0, help=_PRICE_HELP)] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Change a hardware profile; what is not named stays, and placed replicas keep what they hold."""
    given = {
        "cpu_cores": cpu_cores,
        "memory_bytes": None if memory_gib is None else round(memory_gib * _GIB),
        "gpu_model": gpu_model,
        "device_name": device_name,
        "price_per_hour": price_per_hour,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise CliError("nothing to change: name at least one option", code=ExitCode.USAGE)
    from hostler_client import NewHardwareProfile

    with open_client() as client:
        present = client.profiles.get(name)
        fields = present.model_dump(include=set(NewHardwareProfile.model_fields)) | changes
        wanted = NewHardwareProfile.model_validate(fields)
        _print([client.profiles.put(wanted, revision=present.revision)], output, single=True)


@profiles_app.command("delete")
@located
def delete_profile(
    name: Name,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask; nobody is asked off a terminal anyway.")
    ] = False,
) -> None:
    """Take a hardware profile away that neither a job nor a model master names."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Delete the hardware profile {name}?", abort=True, err=True)
    with open_client() as client:
        client.profiles.delete(name)
    say(f"hardware profile {name} is deleted")


def _print(profiles: "Sequence[HardwareProfile]", output: OutputFormat, *, single: bool = False) -> None:
    match output:
        case OutputFormat.JSON:
            print_json(profiles[0] if single else profiles)
        case OutputFormat.NAME | OutputFormat.ID:
            for profile in profiles:
                print(profile.name)
        case OutputFormat.TABLE:
            print_columns(_HEADINGS, (_row(profile) for profile in profiles))


def _row(profile: "HardwareProfile") -> tuple[str, ...]:
    return (
        profile.name,
        profile.gpu_model or "none",
        profile.device_name or "",
        f"{profile.cpu_cores:g}",
        f"{profile.memory_bytes / _GIB:g}",
        f"{profile.price_per_hour:g}",
    )
