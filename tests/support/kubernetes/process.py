"""The fake cluster as a process of its own, and the hands of a test on it: for services that are processes too."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.support.kubernetes.config import ClusterConfig
from tests.support.kubernetes.journal import Entry, read_journal

_ROOT = Path(__file__).resolve().parents[3]
_START_SECONDS = 60.0


class ClusterProcess:
    """Runs from `start` to `stop`; its files are in `folder`."""

    def __init__(self, folder: Path, config: ClusterConfig | None = None) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.journal_file = folder / "journal.jsonl"
        self._config = config or ClusterConfig(guests=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._door: httpx2.Client | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.json"
        config.write_text(json.dumps(self._config.to_json()), encoding="utf-8")
        command = [sys.executable, "-m", "tests.support.kubernetes"]
        command += ["--kubeconfig", str(self.kubeconfig), "--journal", str(self.journal_file)]
        with (self.folder / "cluster.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--config", str(config)], cwd=_ROOT, stdout=log, stderr=log, env=os.environ
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.kubeconfig.exists():
            assert self._process.poll() is None, (self.folder / "cluster.log").read_text()
            assert time.monotonic() < deadline, "the fake cluster did not start"
            time.sleep(0.02)
        self._door = httpx2.Client(base_url=f"{self.url}/_fake", timeout=30, verify=False)

    def stop(self) -> None:
        """End it; an error of its controllers is an error of the test."""
        if self._door is not None:
            self._door.close()
        if self._process is not None:
            self._process.terminate()
            code = self._process.wait(timeout=30)
            assert code == 0, (self.folder / "cluster.log").read_text()

    @property
    def url(self) -> str:
        url: str = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return url

    @property
    def admin_headers(self) -> dict[str, str]:
        user = json.loads(self.kubeconfig.read_text())["users"][0]["user"]
        return {"Authorization": f"Bearer {user['token']}"}

    def journal(self) -> list[Entry]:
        return read_journal(self.journal_file)

    def fault(self, kind: str, **wish: Any) -> int:
        """Ask for a fault (see `faults`); gives its number."""
        number: int = self._post("faults", {"kind": kind, **wish})["number"]
        return number

    def hits(self) -> dict[int, int]:
        """How many requests each present fault met."""
        assert self._door is not None
        return {each["number"]: each["hits"] for each in self._door.get("/faults").json()}

    def heal(self, number: int | None = None) -> None:
        """End one fault, or all."""
        assert self._door is not None
        self._door.delete(f"/faults/{'all' if number is None else number}").raise_for_status()

    def vmi(self, namespace: str, name: str, how: str) -> bool:
        """Break a VMI; false when it is not there any more."""
        assert self._door is not None
        answer = self._door.post(f"/vmis/{namespace}/{name}/{how}")
        if answer.status_code == 404:
            return False
        answer.raise_for_status()
        return True

    def node(self, name: str, how: str) -> None:
        self._post(f"nodes/{name}/{how}")

    def data_volume(self, name: str, how: str) -> None:
        self._post(f"datavolumes/{name}/{how}")

    def forget(self) -> None:
        """From now on every revision up to here is gone."""
        self._post("forget")

    def end_watches(self, how: str = "end") -> None:
        """`end` every open watch as if by its time, or `cut` its connection; what comes of the next is a matter of faults."""
        self._post(f"watches/{how}")

    def gone_as(self, how: str) -> None:
        """`status` or `event`: how a watch from too old a revision is refused."""
        self._post(f"gone/{how}")

    def objects(self) -> dict[str, int]:
        """How many objects of each kind there are."""
        assert self._door is not None
        found: dict[str, int] = self._door.get("/state").json()["objects"]
        return found

    def _post(self, path: str, body: object = None) -> Any:
        assert self._door is not None
        return self._door.post(f"/{path}", json=body).raise_for_status().json()
