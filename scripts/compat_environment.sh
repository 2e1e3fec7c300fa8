#!/bin/sh
# Makes the environment of one foreign client in .venv-compat/NAME from its hash-locked requirements, so that its pins never meet ours:
# `compat_environment.sh runai`. Called by the tests in tests/compat; harmless and quick when nothing has changed.
#
# What it needs: uv (the development environment brings it, UV=... names another) and a package index.
set -eu

name=${1:?the name of a client: there is tests/compat/requirements-NAME.txt for each}
root=$(cd "$(dirname "$0")/.." && pwd -P)
requirements=$root/tests/compat/requirements-$name.txt
venv=$root/.venv-compat/$name
stamp_text="$(cksum <"$requirements") $venv"

if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp_text" ]; then
    exit 0
fi
uv=${UV:-$root/.venv/bin/uv}
[ -x "$uv" ] || uv=$(command -v uv)
"$uv" venv --quiet --clear --no-project --python "${PYTHON:-python3}" "$venv"
"$uv" pip install --quiet --require-hashes --no-deps --python "$venv/bin/python" -r "$requirements"
printf '%s\n' "$stamp_text" >"$venv/.stamp"
