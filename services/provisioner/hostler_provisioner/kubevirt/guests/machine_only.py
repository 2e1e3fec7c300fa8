"""The runtime `machine`, of workspaces and trainings: a machine with GPUs that people log in to, and no server."""

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings, Wanted

RUNTIME = "machine"


def machine_only(wanted: Wanted, settings: GuestSettings) -> Guest:
    """A machine that is ready when it has booted.

    Raises:
        PermanentError: nobody could log in, or something is to be told to a server that is not there.
    """
    if not wanted.ssh_keys:
        raise PermanentError("ssh_keys must have at least one key: nobody could log in")
    if wanted.args:
        raise PermanentError(
            f"serving.args.{wanted.args[0][0]} is for a server, and a machine to log in to has none"
        )
    return Guest(
        argv=(),
        ssh_keys=wanted.ssh_keys,
        # People's programs get a moment to write down how far they are.
        shutdown_timeout_seconds=min(60, settings.shutdown_timeout_seconds),
        log_name=RUNTIME,
    )
