#!/bin/sh
# Makes build/compiled: the packages as a wheel has them that was built with the modules of pyproject.toml compiled. What runs with
# PYTHONPATH=build/compiled runs those. Quick when nothing has changed.
#
# It needs the environment for development, a C compiler and Python's headers; ends with 69 where one of the last two is missing.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python
made=build/compiled
say() { printf '%s\n' "$*" >&2; }

stamp_text=$({ $python -VV && cat pyproject.toml requirements-dev.txt scripts/compile.sh scripts/compile_hook.py &&
    find libs services cli -name '*.py' -type f -exec cksum {} + | sort -k 3; } | cksum)
[ "$(cat $made/.stamp 2>/dev/null || :)" != "$stamp_text" ] || exit 0

compiler=$($python -c 'import sysconfig; print(sysconfig.get_config_var("CC"))')
headers=$($python -c 'import sysconfig; print(sysconfig.get_path("include"))')
# The command without its options.
command -v "${compiler%% *}" >/dev/null 2>&1 || {
    say "no C compiler (${compiler%% *}) here, so nothing is compiled; on Debian: apt-get install gcc libc6-dev"
    exit 69
}
[ -f "$headers/Python.h" ] || {
    say "no headers of Python ($headers) here, so nothing is compiled; on Debian: apt-get install python3-dev"
    exit 69
}

say "compiling the router's modules, about a minute"
rm -rf $made build/wheel
mkdir -p build/wheel
HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $python -m hatchling build -t wheel -d build/wheel >build/compile.log 2>&1 || {
    cat build/compile.log >&2
    exit 1
}
$python -m zipfile -e build/wheel/*.whl $made
# What is not compiled to C is to bytecode: every start would do it anew otherwise, and keep some of the memory that it takes.
env -u PYTHONDONTWRITEBYTECODE $python -m compileall -q $made
printf '%s\n' "$stamp_text" >$made/.stamp
