"""Writes the users of NATS that the Kubernetes chart ships, from the lists in `hostler_bus.permissions`.

People run it after they changed a list: `.venv/bin/python scripts/render_nats_users.py`, and then scripts/render_kubernetes.py.
A test compares the file with what this gives. It has no password in it: each is a variable that the server finds in a mounted
Secret, which `hostler_cli.supervisor.cluster_secrets` makes.
"""

from pathlib import Path
from typing import Final

from hostler_cli.supervisor.cluster_secrets import password_variable
from hostler_cli.supervisor.conf_files import NATS_OPERATOR, nats_users
from hostler_cli.supervisor.options import SERVICES

FILE = Path(__file__).parents[1] / "deploy/kubernetes/chart/hostler/files/nats-users.conf"

# Beside the users: NATS looks for variables in the file that names them.
_PASSWORDS: Final = 'include "../secrets/users.conf"\n'


def render() -> str:
    """The block of users."""
    users = nats_users({name: f"${password_variable(name)}" for name in (NATS_OPERATOR, *SERVICES)})
    return f"# Written by scripts/render_nats_users.py from libs/hostler_bus/permissions.py.\n{_PASSWORDS}{users}"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
