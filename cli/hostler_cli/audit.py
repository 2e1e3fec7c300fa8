"""`hostler audit`: who did what with keys, projects, masters and profiles, and who was turned away."""

from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.located import located, open_client
from hostler_cli.output import DataFormat, DataOutput, print_columns, print_json, say

if TYPE_CHECKING:
    from hostler_client import AuditRecord  # for a signature; the client is loaded when the command runs

_HEADINGS = ("SEQUENCE", "TIME", "ACTION", "PROJECT", "BY KEY", "TARGET", "COUNT", "DETAILS")


@located
def audit(
    *,
    project: Annotated[str | None, typer.Option(help="Only deeds in this project.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this kind of deed, such as key.created.")] = None,
    before: Annotated[
        int | None, typer.Option(min=1, metavar="SEQUENCE", help="Only deeds before this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Not more than this many.")] = 50,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Show the audit, newest first. It takes an admin's key."""
    from itertools import islice

    with open_client() as client:
        found = list(islice(client.audit.list(project=project, action=action, before=before), limit))
    if output is DataFormat.JSON:
        print_json(found)
    elif found:
        print_columns(_HEADINGS, (_row(each) for each in found))
    else:
        say("nothing on the audit for that")


def _row(record: "AuditRecord") -> tuple[str, ...]:
    return (
        str(record.sequence),
        f"{record.at:%Y-%m-%d %H:%M:%S}",
        record.action,
        record.project or "",
        record.actor_key_id or "",
        record.target,
        str(record.count),
        " ".join(f"{name}={value}" for name, value in sorted(record.details.items())),
    )
