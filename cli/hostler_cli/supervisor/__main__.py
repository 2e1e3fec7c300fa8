"""The supervisor in the background: `python -m hostler_cli.supervisor OPTIONS`, started by `hostler up --detach`.

What it says goes to DIR/logs/supervisor.log, each sentence with the time.
"""

import os
import sys
from datetime import UTC, datetime

from hostler_cli.supervisor.launch import bring_up, say_on_stderr
from hostler_cli.supervisor.options import UpOptions
from hostler_cli.supervisor.stack import StackHooks
from hostler_cli.supervisor.state_file import StackState


def main() -> int:
    """Run the stack that the one argument describes."""
    options = UpOptions.from_json(sys.argv[1])
    hooks = StackHooks(on_ready=_tell_ready, say=_say)
    return bring_up(options, os.environ, hooks=hooks)


def _tell_ready(state: StackState) -> None:
    _say(f"ready: api {state.api_url}, router {state.router_url}")


def _say(sentence: str) -> None:
    say_on_stderr(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {sentence}")


if __name__ == "__main__":
    sys.exit(main())
