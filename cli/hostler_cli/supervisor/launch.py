"""Brings a stack up on a data folder: locks it, clears what an earlier run left, chooses ports, writes files, runs.

Called by `hostler up` in the foreground and by `python -m hostler_cli.supervisor` in the background; both end with the
exit code that comes back. Everything that can be refused is refused before the first process starts.
"""

import asyncio
import contextlib
import os
import random
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor import binaries, lock, ports
from hostler_cli.supervisor.conf_files import ValkeySocket, nats_conf, valkey_conf
from hostler_cli.supervisor.guard import Guard
from hostler_cli.supervisor.layout import DataLayout, valkey_socket
from hostler_cli.supervisor.leftovers import end_leftovers
from hostler_cli.supervisor.log_files import follow, rotate
from hostler_cli.supervisor.options import UpOptions
from hostler_cli.supervisor.secret_files import make_folders, make_secrets, write_private
from hostler_cli.supervisor.specs import ProcessSpec, StackPlan, StackPorts, service_names, stack_specs
from hostler_cli.supervisor.stack import Stack, StackHooks
from hostler_cli.supervisor.state_file import StackState, create_time_of

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Refused(Exception):
    """The stack cannot be started as asked; nothing was. The message says what to change."""


def bring_up(
    options: UpOptions,
    environ: Mapping[str, str],
    *,
    hooks: StackHooks,
    show_log: Callable[[str, str], None] | None = None,
    make_specs: Callable[[StackPlan], tuple[ProcessSpec, ...]] = stack_specs,
) -> ExitCode:
    """Run a stack from start to stop. `show_log` gets (process name, line) for all that the processes log."""
    layout = DataLayout(options.data_dir)
    try:
        make_folders(layout)
        with lock.hold(layout.lock_file):
            if strays := end_leftovers(layout.instance_prefix):
                hooks.say(f"ended {len(strays)} processes that an earlier run had left behind")
            plan = prepare(options, layout, environ)
            return asyncio.run(_run(plan, make_specs(plan), hooks, show_log))
    except (lock.AlreadyRunning, Refused) as error:
        hooks.say(f"error: {error}")
        return ExitCode.CONFLICT
    except (binaries.BinaryNotFound, OSError) as error:
        hooks.say(f"error: {error}")
        return ExitCode.FAILURE


def prepare(options: UpOptions, layout: DataLayout, environ: Mapping[str, str]) -> StackPlan:
    """Settle all that is open - ports, programs, secrets - and write the servers' files. The caller holds the lock."""
    for flag, port in (("--api-port", options.api_port), ("--router-port", options.router_port)):
        if port and not ports.is_free(port):
            raise Refused(f"{flag} {port}: already in use by {ports.listener_of(port)}; choose another")
    plan = StackPlan(
        options=options,
        layout=layout,
        ports=_choose_ports(options),
        instance=layout.instance_prefix + secrets.token_hex(4),
        nats_binary=binaries.nats_server(environ),
        valkey_binary=binaries.valkey_server(environ),
        valkey_socket=valkey_socket(layout, temporary_dir=Path(tempfile.gettempdir()), user_id=os.getuid()),
        nats_passwords=make_secrets(layout),
        environ=environ,
    )
    _make_private_folder(plan.valkey_socket.parent)
    _write_configuration(plan)
    for name in ("nats", "valkey", *(name for _, name in service_names(options))):
        rotate(layout.log_file(name))
    return plan


def _choose_ports(options: UpOptions) -> StackPorts:
    names = [name for _, name in service_names(options)]
    free = ports.choose_free_ports(
        len(names) + 4, rng=random.SystemRandom(), avoid=(options.api_port, options.router_port)
    )
    nats, monitor, api, router, *ops = free
    return StackPorts(
        nats=nats,
        nats_monitor=monitor,
        api=options.api_port or api,
        router=options.router_port or router,
        ops=dict(zip(names, ops, strict=True)),
    )


def _make_private_folder(folder: Path) -> None:
    """Make sure that the socket's folder is ours alone: it may lie in the temporary folder that all users share."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise Refused(f"{folder}: is not a folder of this user alone; remove it or choose another --data-dir")


def _write_configuration(plan: StackPlan) -> None:
    layout = plan.layout
    write_private(
        layout.nats_conf_file,
        nats_conf(
            port=plan.ports.nats,
            monitor_port=plan.ports.nats_monitor,
            store_dir=layout.nats_dir,
            passwords=plan.nats_passwords,
            sync_interval=plan.options.sync_interval,
        ),
    )
    write_private(
        layout.valkey_conf_file,
        valkey_conf(listens=ValkeySocket(plan.valkey_socket), store_dir=layout.valkey_dir),
    )


async def _run(
    plan: StackPlan,
    specs: tuple[ProcessSpec, ...],
    hooks: StackHooks,
    show_log: Callable[[str, str], None] | None,
) -> ExitCode:
    guard = Guard(plan.instance, plan.environ)
    stack = Stack(specs, layout=plan.layout, state=_first_state(plan), guard=guard, hooks=hooks)
    interrupted = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal interrupted
        interrupted = interrupted or number is signal.SIGINT
        stack.request_stop()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    files = [(spec.name, plan.layout.log_file(spec.name)) for spec in specs]
    showing = asyncio.create_task(follow(files, show_log)) if show_log else None
    try:
        code = await stack.run(start_timeout_seconds=plan.options.start_timeout_seconds)
    finally:
        if showing:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing
    return ExitCode.INTERRUPTED if interrupted and code is ExitCode.OK else code


def _first_state(plan: StackPlan) -> StackState:
    pid = os.getpid()
    return StackState(
        supervisor_pid=pid,
        supervisor_create_time=create_time_of(pid) or 0.0,
        instance=plan.instance,
        data_dir=str(plan.layout.data_dir),
        api_url=plan.ports.api_url,
        router_url=plan.ports.router_url,
        nats_url=plan.ports.nats_url,
        valkey_url=plan.valkey_url,
        admin_key_file=str(plan.layout.admin_key_file),
        ready=False,
        processes=(),
    )


def say_on_stderr(sentence: str) -> None:
    """Tell people something, at once."""
    print(sentence, file=sys.stderr, flush=True)
