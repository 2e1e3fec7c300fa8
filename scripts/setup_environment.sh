#!/bin/sh
# Makes the environment in .venv from the lock files: `setup_environment.sh run` for what Hostler needs to run,
# `setup_environment.sh speech` for speech to text as well, `setup_environment.sh dev` for both and the tools for
# development. Called by make; harmless and quick when nothing has changed.
#
# What it needs: Python 3.11 or newer with pip (or uv), and a package index. It uses uv where it can, because uv takes two
# seconds for what takes pip fifteen, and plain pip where uv fails, for instance when only pip knows the way to the index.
#
#   PYTHON=...      the Python to make the environment with
#   INSTALLER=pip   do without uv
set -eu

want=${1:-run}
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
venv=.venv
venv_python=$venv/bin/python
stamp_text=$(cat requirements.txt requirements-dev.txt requirements-speech.txt requirements-kubernetes.txt requirements-uv.txt pyproject.toml scripts/setup_environment.sh | cksum)" $root"

say() { printf '%s\n' "$*" >&2; }

is_current() { [ -x "$venv_python" ] && [ -f "$1" ] && [ "$(cat "$1")" = "$stamp_text" ]; }

compile_own_code() {
    # Compiled here, whatever the user's PYTHONDONTWRITEBYTECODE says: otherwise every start compiles everything anew.
    env -u PYTHONDONTWRITEBYTECODE "$venv_python" -m compileall -q libs services cli
}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        [ "$candidate" != "${PYTHON:-}" ] || {
            say "error: PYTHON=$PYTHON is not Python 3.11 or newer"
            return 1
        }
    done
    say "error: no Python 3.11 or newer found; install one, or name it: make setup PYTHON=/path/to/python3"
    return 1
}

make_venv() {
    # A moved folder has the old paths in every script, and a vanished Python leaves dead links: then start from nothing.
    if [ -x "$venv_python" ] && "$venv_python" -c '' 2>/dev/null &&
        [ "$(cat $venv/.root 2>/dev/null || echo "$root")" = "$root" ]; then
        return
    fi
    say "making $venv with $($base_python --version)"
    # Without pip, which would take most of the time and is not there at all where Python comes without ensurepip.
    "$base_python" -m venv --clear --without-pip "$venv"
    printf '%s\n' "$root" >$venv/.root
}

# Plain pip on the environment: its own pip, else the base Python's reaching into it, else one made now.
run_pip() {
    if "$venv_python" -c 'import pip' 2>/dev/null; then
        "$venv_python" -m pip --disable-pip-version-check "$@"
    elif "$base_python" -m pip --python "$venv_python" --version >/dev/null 2>&1; then
        "$base_python" -m pip --disable-pip-version-check --python "$venv_python" "$@"
    elif "$venv_python" -m ensurepip >/dev/null 2>&1; then
        "$venv_python" -m pip --disable-pip-version-check "$@"
    else
        say "error: $base_python has neither pip nor ensurepip; install pip (on Debian: python3-pip or python3-venv) or uv"
        return 1
    fi
}

find_uv() {
    [ "${INSTALLER:-}" != pip ] || return 1
    if [ -x $venv/bin/uv ]; then
        uv=$venv/bin/uv
    elif command -v uv >/dev/null 2>&1; then
        uv=uv
    else
        run_pip install --quiet --no-deps --require-hashes -r requirements-uv.txt >&2 || return 1
        uv=$venv/bin/uv
    fi
    # uv does not read pip's settings; whoever has set pip up for a mirror means all installers.
    export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-}}}"
    export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"
    export SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-}}"
    [ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
    [ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
    [ -n "$SSL_CERT_FILE" ] || unset SSL_CERT_FILE
}

# Every wheel is pinned by its hash; --no-deps because the lock is complete, and leaves out on purpose what some wheels
# ask for and Hostler does not use.
install_by_uv() {
    $uv pip install --quiet --python "$venv_python" --no-deps --require-hashes --compile-bytecode "$@" &&
        $uv pip install --quiet --python "$venv_python" --no-deps --no-build-isolation --editable .
}

install_by_pip() {
    run_pip install --quiet --no-deps --require-hashes "$@" &&
        run_pip install --quiet --no-deps --no-build-isolation --editable .
}

case $want in
run) set -- -r requirements.txt ;;
speech) set -- -r requirements.txt -r requirements-speech.txt ;;
dev) set -- -r requirements.txt -r requirements-speech.txt -r requirements-kubernetes.txt -r requirements-dev.txt ;;
*)
    say "usage: setup_environment.sh run|speech|dev"
    exit 2
    ;;
esac

if is_current "$venv/.stamp-$want"; then
    compile_own_code
    exit 0
fi
base_python=$(find_python)
make_venv
rm -f $venv/.stamp-run $venv/.stamp-speech $venv/.stamp-dev
if find_uv && say "installing the locked packages ($want) with uv" && install_by_uv "$@"; then
    :
else
    [ "${INSTALLER:-}" = pip ] || say "uv did not work here; going on with pip"
    say "installing the locked packages ($want) with pip"
    install_by_pip "$@"
fi
compile_own_code
printf '%s\n' "$stamp_text" >$venv/.stamp-run
[ "$want" = run ] || printf '%s\n' "$stamp_text" >$venv/.stamp-speech
[ "$want" != dev ] || printf '%s\n' "$stamp_text" >$venv/.stamp-dev
