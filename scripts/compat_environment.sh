#!/bin/sh
# Makes the environment of a foreign client that Hostler is tested with: `compat_environment.sh lyceum` puts what
# tests/compat/requirements-lyceum.txt pins into .venv-compat/lyceum. Each client has its own, so that its pins never meet ours.
# Called by the tests; harmless and quick when nothing has changed.
#
#   PYTHON=...   the Python to make the environment with
set -eu

name=${1:?usage: compat_environment.sh NAME}
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
requirements=tests/compat/requirements-$name.txt
venv=.venv-compat/$name
stamp_text=$(cat "$requirements" scripts/compat_environment.sh | cksum)" $root"

say() { printf '%s\n' "$*" >&2; }

[ -f "$requirements" ] || {
    say "error: there is no $requirements"
    exit 2
}
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp_text" ]; then
    exit 0
fi
python=${PYTHON:-python3}
mkdir -p .venv-compat
if [ -x .venv/bin/uv ]; then uv=.venv/bin/uv; else uv=$(command -v uv || true); fi
# uv does not read pip's settings; whoever has set pip up for a mirror means all installers.
[ -n "${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-}}" ] || [ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
[ -n "${SSL_CERT_FILE:-}" ] || [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="$PIP_CERT"
say "installing the locked packages of $name into $venv"
if [ -n "$uv" ] && "$uv" venv --quiet --clear --python "$python" "$venv" &&
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes -r "$requirements"; then
    :
else
    say "uv did not do it here; going on with pip"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r "$requirements"
fi
printf '%s\n' "$stamp_text" >"$venv/.stamp"
