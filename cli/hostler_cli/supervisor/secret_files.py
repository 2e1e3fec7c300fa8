"""Files that only their owner may read: made once per data folder, or rewritten whole."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from hostler_cli.supervisor.conf_files import NATS_OPERATOR
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.options import SERVICES
from hostler_domain.api_keys import RANDOM_BYTES_MIN, make_key


def make_folders(layout: DataLayout) -> None:
    """Make what is missing of the data folder and those below it, closed to others."""
    for folder in (layout.data_dir, layout.log_dir, layout.run_dir, layout.nats_dir, layout.valkey_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_secrets(layout: DataLayout) -> dict[str, str]:
    """Make what is missing of the admin key, the sealing key and the operator's password at NATS; give all passwords there.

    Those of the services are new for each run: nobody else needs them, so no file of their own holds them.
    """
    make_keys(layout)
    operator = keep_or_make(layout.nats_password_file, new_password)
    return {NATS_OPERATOR: operator, **{service: new_password() for service in SERVICES}}


def make_keys(layout: DataLayout) -> str:
    """Make what is missing of the admin key and the sealing key; give the sealing key."""
    keep_or_make(layout.admin_key_file, lambda: make_key(secrets.token_bytes(RANDOM_BYTES_MIN)))
    return keep_or_make(
        layout.secret_key_file, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    )


def write_private(path: Path, text: str) -> None:
    """Write a whole file so that a reader sees the old text or the new one, and nobody else reads either."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def keep_or_make(path: Path, make: Callable[[], str]) -> str:
    """Keep the secret that the file has, however it was made; a lost key would orphan all that was sealed with it."""
    try:
        kept = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = make()
        write_private(path, kept + "\n")
    path.chmod(0o600)
    return kept


def new_password() -> str:
    """Make a password that nobody can guess."""
    return secrets.token_urlsafe(32)
