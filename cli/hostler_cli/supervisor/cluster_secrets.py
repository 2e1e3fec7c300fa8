"""The Secrets of an installation on Kubernetes: `python -m hostler_cli.supervisor.cluster_secrets | kubectl create -f -`.

One Secret for each workload, with the files that it mounts, so that a service sees its own password and no other's:

    RELEASE-api                    admin.key, secret.key, nats.password, valkey.url (with the password in it)
    RELEASE-provisioner            secret.key, nats.password
    RELEASE-router                 secret.key, nats.password, valkey.url
    RELEASE-scheduler, -autoscaler nats.password
    RELEASE-nats                   users.conf with all passwords, cluster.conf with the servers' own, nats.password of `operator`
    RELEASE-valkey                 password.conf, valkey.password

Everything is made anew each time and nothing is stored here. `kubectl create` refuses what is there already, so running it
twice changes nothing; what is printed goes to no terminal.
"""

import argparse
import base64
import json
import secrets
import sys
from collections.abc import Mapping
from typing import Final

from hostler_cli.supervisor.conf_files import NATS_OPERATOR
from hostler_cli.supervisor.launch import say_on_stderr
from hostler_cli.supervisor.options import SERVICES
from hostler_cli.supervisor.secret_files import new_password
from hostler_domain.api_keys import RANDOM_BYTES_MIN, make_key

NATS_CLUSTER_PORT: Final = 6222
ROUTE_USER: Final = "route"
"""Under which NATS servers know each other."""
_VALKEY_PORT: Final = 6379
_SECRET_KEY_BYTES: Final = 32


def password_variable(user: str) -> str:
    """The variable of nats.conf that stands for the password of a user."""
    return f"{user.upper()}_PASSWORD"


def secret_files(release: str, nats_servers: int) -> dict[str, dict[str, str]]:
    """Every file of every Secret, by name without the release's.

    `nats_servers` is how many addresses the servers are told of each other's; one more than there are does no harm but a line
    in the log, one less has to be found out from the others.
    """
    passwords = {user: new_password() for user in (NATS_OPERATOR, *SERVICES)}
    route, valkey = new_password(), new_password()
    secret_key = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_KEY_BYTES)).decode()
    valkey_url = f"redis://:{valkey}@{release}-valkey:{_VALKEY_PORT}"
    files = {service: {"nats.password": passwords[service]} for service in SERVICES}
    for service in ("api", "provisioner", "router"):
        files[service]["secret.key"] = secret_key
    for service in ("api", "router"):
        files[service]["valkey.url"] = valkey_url
    files["api"]["admin.key"] = make_key(secrets.token_bytes(RANDOM_BYTES_MIN))
    files["nats"] = {
        "users.conf": "".join(
            f"{password_variable(user)}: {json.dumps(word)}\n" for user, word in passwords.items()
        ),
        "cluster.conf": _cluster_conf(release, nats_servers, route),
        "nats.password": passwords[NATS_OPERATOR],
    }
    files["valkey"] = {"password.conf": f"requirepass {json.dumps(valkey)}\n", "valkey.password": valkey}
    return files


def _cluster_conf(release: str, servers: int, password: str) -> str:
    name = f"{release}-nats"
    routes = [
        f"nats://{ROUTE_USER}:{password}@{name}-{number}.{name}-servers:{NATS_CLUSTER_PORT}"
        for number in range(servers)
    ]
    return f"ROUTE_PASSWORD: {json.dumps(password)}\nROUTES: {json.dumps(routes, indent=2)}\n"


def manifests(release: str, namespace: str, files: Mapping[str, Mapping[str, str]]) -> str:
    """The Secrets as one document that `kubectl` reads."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": f"{release}-{part}",
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "hostler", "app.kubernetes.io/component": part},
            },
            "type": "Opaque",
            "stringData": dict(content),
        }
        for part, content in files.items()
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n"


def main() -> int:
    """Print them, unless somebody would read along."""
    parser = argparse.ArgumentParser(prog="python -m hostler_cli.supervisor.cluster_secrets")
    parser.add_argument(
        "--release", default="hostler", help="name of the Helm release; the kustomize base has this one"
    )
    parser.add_argument("--namespace", default="hostler", help="where the services run")
    parser.add_argument("--nats-servers", type=int, default=3, help="as many as nats.replicas says")
    given = parser.parse_args()
    if sys.stdout.isatty():
        say_on_stderr("error: these are secrets; send them on, as in: ... | kubectl create -f -")
        return 1
    files = secret_files(given.release, given.nats_servers)
    sys.stdout.write(manifests(given.release, given.namespace, files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
