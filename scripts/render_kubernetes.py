"""Writes the kustomize bases below deploy/kubernetes from the Helm chart, which is their one source.

People run it after they changed the chart: `.venv/bin/python scripts/render_kubernetes.py`. It needs Helm's library, which it
installs into .venv-compat/helm, for itself alone. A test compares the files with what this gives.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).parents[1]
KUBERNETES: Final = ROOT / "deploy/kubernetes"
CHART: Final = KUBERNETES / "chart/hostler"
HELM: Final = ROOT / ".venv-compat/helm/bin/python"
NAMESPACE: Final = "hostler"
RELEASE: Final = "hostler"

_HEADER: Final = "# Written by scripts/render_kubernetes.py from chart/hostler; change it there.\n"
_NAMESPACE_TEXT: Final = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: hostler
    pod-security.kubernetes.io/enforce: restricted
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of manifests.

    Attributes:
        name: Below deploy/kubernetes.
        values: Of the chart, beside its own.
        templates: Which of the chart's are in it; all that give anything where it is empty.
        kind: Of its kustomization.
    """

    name: str
    values: MappingProxyType[str, object]
    templates: frozenset[str] = frozenset()
    kind: str = "Kustomization"


_OFF: Final = {"enabled": False}
FOLDERS: Final = (
    Folder("base", MappingProxyType({})),
    # What runs in a further cluster. The address is an example from the range for documents; overlays name the real one.
    Folder(
        "location",
        MappingProxyType(
            {
                **dict.fromkeys(("valkey", "api", "scheduler", "router", "autoscaler"), _OFF),
                "nats": {"enabled": False, "url": "nats://nats.hostler.example:4222"},
                "networkPolicies": {"natsCidrs": ["192.0.2.0/24"]},
                "provisioner": {"cluster": "elsewhere"},
            }
        ),
    ),
    Folder(
        "components/monitoring",
        MappingProxyType({"monitoring": {"enabled": True}}),
        frozenset({"monitoring"}),
        "Component",
    ),
)


def render(values: object, *, release: str = RELEASE, namespace: str = NAMESPACE) -> dict[str, str]:
    """What Helm makes of the chart, by the template's name without its ending.

    Raises:
        RuntimeError: Helm refuses the values or the chart.
    """
    request = json.dumps({"release": release, "namespace": namespace, "values": values})
    done = subprocess.run(  # our own script
        [HELM, ROOT / "scripts/helm_template.py", CHART],
        input=request,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    answer = json.loads(done.stdout)
    if answer["lint"]["errors"]:
        raise RuntimeError("; ".join(answer["lint"]["errors"]))
    return {
        Path(path).stem: text.strip("\n").removeprefix("---\n") + "\n"
        for path, text in sorted(answer["rendered"].items())
        if text.strip()
    }


def files() -> dict[str, str]:
    """Every file, by its path below deploy/kubernetes."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        rendered = {name: text for name, text in render(dict(folder.values)).items() if name != "NOTES"}
        if folder.templates:
            rendered = {name: rendered[name] for name in folder.templates}
        else:
            rendered["namespace"] = _NAMESPACE_TEXT
        version = "v1alpha1" if folder.kind == "Component" else "v1beta1"
        resources = "".join(f"  - {name}.yaml\n" for name in sorted(rendered))
        rendered["kustomization"] = (
            f"apiVersion: kustomize.config.k8s.io/{version}\nkind: {folder.kind}\nresources:\n{resources}"
        )
        found |= {f"{folder.name}/{name}.yaml": _HEADER + text for name, text in rendered.items()}
    return found


def main() -> int:
    """Write them, and take away what is no longer made."""
    subprocess.run([ROOT / "scripts/compat_environment.sh", "helm"], check=True)  # our own script
    wanted = files()
    for folder in FOLDERS:
        (KUBERNETES / folder.name).mkdir(parents=True, exist_ok=True)
        for there in (KUBERNETES / folder.name).glob("*.yaml"):
            if str(there.relative_to(KUBERNETES)) not in wanted:
                there.unlink()
    for path, text in wanted.items():
        (KUBERNETES / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
