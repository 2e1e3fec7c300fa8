"""The fake cluster as its own process, for tests that kill and freeze services:

    python -m tests.support.kubernetes --kubeconfig FILE --journal FILE [--config FILE.json]

The kubeconfig file is written once requests are served. SIGTERM ends it.
"""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from tests.support.kubernetes.cluster import running
from tests.support.kubernetes.config import config_from


async def _serve(arguments: argparse.Namespace) -> None:
    config = config_from(json.loads(arguments.config.read_text())) if arguments.config else None
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with running(config, arguments.journal) as cluster:
        # Under another name first: whoever waits for the file must find it whole.
        cluster.kubeconfig(arguments.kubeconfig.with_suffix(".part")).rename(arguments.kubeconfig)
        await over.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.kubernetes")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--config", type=Path)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
