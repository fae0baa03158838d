#!/bin/sh
# Make a virtual environment that holds exactly the lock's versions, and this project (editable).
# Needs Python 3.11 or later; uses uv where it is there, else pip alone. What is installed already is
# not fetched again, so a second run with an unchanged lock works without a network.
#
# usage: scripts/install.sh FOLDER
set -eu

venv=$1
supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'

fail() {
    echo "install: $1" >&2
    exit 2
}

find_python() {
    for python in ${PYTHON3:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        # A name may be on the PATH and still not run, so each is tried.
        if "$python" -c "$supported" >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
}

# A fork has the framework as a wheel, which the lock names with its hash: said here in a line, before anything is made.
check_wheel() {
    "$python" - <<'EOF'
import hashlib, pathlib, re
lock = pathlib.Path("requirements.lock").read_text()
for version, block in re.findall(r"^dagster-assay[^=]*==([^ ]+)(.*\n(?:    .*\n)*)", lock, re.M):
    wheel = pathlib.Path(f"vendor/dagster_assay-{version}-py3-none-any.whl")
    if not wheel.is_file():
        print(f"{wheel}, which requirements.lock names, is missing. Bring it back: git checkout vendor")
    elif hashlib.sha256(wheel.read_bytes()).hexdigest() not in block:
        print(f"{wheel} has another hash than requirements.lock names. Bring both back: git checkout vendor requirements.lock")
EOF
}

make_venv() {
    echo "install: $("$python" --version) in $venv"
    rm -rf "$venv"
    if uv --version >/dev/null 2>&1; then
        uv venv --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" "$venv"
    else
        "$python" -c 'import venv, ensurepip' 2>/dev/null ||
            fail "this Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
        "$python" -m venv "$venv"
    fi
}

# A terminal sees how far it is while a command runs; a build server's log is spared the redrawn line. What is watched
# stays in the foreground, for a shell's background commands are deaf to Ctrl-C.
watched() {
    if ! [ -t 2 ] || [ -n "${CI:-}" ] || [ "${TERM:-dumb}" = dumb ]; then
        "$@"
        return
    fi
    (
        seconds=0
        packages=$(grep -c '^[a-zA-Z]' requirements.lock)
        while sleep 1 && kill -0 $$ 2>/dev/null; do
            seconds=$((seconds + 1))
            there=$(find "$venv"/lib/python3.*/site-packages -maxdepth 1 -name '*.dist-info' 2>/dev/null | wc -l)
            printf '\r\033[Kinstall: %d of %d packages  %d s' "$there" "$packages" "$seconds" >&2
        done
    ) &
    watcher=$!
    trap 'kill $watcher 2>/dev/null; printf "\r\033[K" >&2' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$@"
    kill $watcher
    printf '\r\033[K' >&2
    trap - EXIT INT TERM
}

ready=yes
python="$venv/bin/python"
if ! "$python" -c "$supported" >/dev/null 2>&1; then
    ready=no
    python=$(find_python)
    [ -n "$python" ] || fail "no Python 3.11 to 3.14 found. Install one, or name it: make PYTHON3=/path/to/python3.12"
fi
wrong=$(check_wheel)
[ -z "$wrong" ] || fail "$wrong"
[ "$ready" = yes ] || make_venv

# The lock names every package, so no dependency is resolved; the project itself is built by a backend
# that is in the lock too, so no build environment is fetched. A wheel of the framework takes the place of the one
# that is there, for another build of the same version would be taken for it.
if [ -d assay ]; then
    framework="" again="" own="-e assay -e ."
else
    framework="--find-links vendor" again="--reinstall-package dagster-assay" own="-e ."
fi
if uv --version >/dev/null 2>&1; then
    echo "install: packages of requirements.lock, with uv"
    # shellcheck disable=SC2086
    watched uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes $framework $again \
        -r requirements.lock
    # shellcheck disable=SC2086
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation $own
else
    echo "install: packages of requirements.lock, with pip (some minutes the first time; uv would be faster)"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    [ -z "$framework" ] || "$venv/bin/python" -m pip uninstall --quiet --yes dagster-assay 2>/dev/null
    # shellcheck disable=SC2086
    watched "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes $framework -r requirements.lock
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --no-compile $own
fi

# uv compiles nothing, and where PYTHONDONTWRITEBYTECODE is set nobody ever would; imports take
# two to three times as long without. The tests of packages, a quarter of it all, are imported by nobody.
[ -z "${UNCOMPILED:-}" ] || exit 0
echo "install: compiling them, once"
"$venv/bin/python" -m compileall -q -j 0 -x 'site-packages/.*/tests/' "$venv"/lib/python3.*/site-packages \
    >/dev/null || true
