"""Renders a Helm chart: `.venv-compat/helm/bin/python scripts/helm_template.py CHART < request.json`.

The request names the release, its namespace and values; the answer, also JSON, has what `helm lint --strict` says and the text
of each template. It runs in the environment of Helm's library, never in ours, and is called by scripts/render_kubernetes.py
and by the tests of the chart. `helm` itself does as well for people.
"""

import json
import sys

from helm_python import chart  # type: ignore[import-not-found]  # only where this runs


def main() -> None:
    """Answer the request on the standard input."""
    path, request = sys.argv[1], json.load(sys.stdin)
    values = request.get("values") or {}
    release = {"name": request["release"], "namespace": request["namespace"]}
    with chart.Chart.load(path) as loaded:
        loaded.validate_schema(values)
        rendered = loaded.render(values, **release)
    report = chart.lint(path, values, strict=True, namespace=request["namespace"], kube_version="v1.34.0")
    json.dump({"rendered": rendered, "lint": report}, sys.stdout)


if __name__ == "__main__":
    main()
