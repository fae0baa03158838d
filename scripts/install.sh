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
    wheel="vendor/dagster_assay-$1-py3-none-any.whl"
    [ -f "$wheel" ] || fail "$wheel, which requirements.lock names, is missing. Bring it back: git checkout vendor"
    hash=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$wheel")
    grep -q "^    --hash=sha256:$hash" requirements.lock ||
        fail "$wheel has another hash than requirements.lock names. Bring both back: git checkout vendor requirements.lock"
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

ready=yes
python="$venv/bin/python"
if ! "$python" -c "$supported" >/dev/null 2>&1; then
    ready=no
    python=$(find_python)
    [ -n "$python" ] || fail "no Python 3.11 to 3.14 found. Install one, or name it: make PYTHON3=/path/to/python3.12"
fi
version=$(sed -n 's/^dagster-assay[^=]*==\([^ ]*\).*/\1/p' requirements.lock)
[ -z "$version" ] || check_wheel "$version"
[ "$ready" = yes ] || make_venv

# The lock names every package, so no dependency is resolved; the project itself is built by a backend
# that is in the lock too, so no build environment is fetched. A wheel of the framework takes the place of the one
# that is there, for another build of the same version would be taken for it.
if [ -n "$version" ]; then framework="--find-links vendor"; else framework=""; fi
if [ -d assay ]; then own="-e assay -e ."; else own="-e ."; fi
if uv --version >/dev/null 2>&1; then
    echo "install: packages of requirements.lock, with uv"
    # shellcheck disable=SC2086
    uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes $framework \
        ${version:+--reinstall-package dagster-assay} -r requirements.lock
    # shellcheck disable=SC2086
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation $own
else
    echo "install: packages of requirements.lock, with pip (some minutes the first time; uv would be faster)"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    [ -z "$version" ] || "$venv/bin/python" -m pip uninstall --quiet --yes dagster-assay 2>/dev/null
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes $framework -r requirements.lock
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --no-compile $own
fi

# uv compiles nothing, and where PYTHONDONTWRITEBYTECODE is set nobody ever would; imports take
# two to three times as long without.
"$venv/bin/python" -m compileall -q -j 0 "$venv"/lib/python3.*/site-packages >/dev/null || true
