#!/bin/sh
# Make a virtual environment for a checkout: setup.sh PYTHON VENV
# Needs Python 3.11 or newer and nothing else; works without the distribution's venv package.
set -eu
python=${1:-python3}
venv=${2:-.venv}

fail() {
    printf 'error: %s\n  next: %s\n' "$1" "$2" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || fail "no Python found" "install python3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "install python3.11 or newer, or make PYTHON=..."

if [ ! -x "$venv/bin/python" ]; then
    printf 'setting up %s with %s\n' "$venv" "$("$python" --version)"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        # Debian and Ubuntu ship venv's pip bootstrap apart from python3.
        rm -rf "$venv"
        minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            apt-get update -qq >/dev/null 2>&1 || true
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$minor-venv" >/dev/null 2>&1 ||
                DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null 2>&1 || true
        fi
        "$python" -m venv "$venv" >/dev/null 2>&1 ||
            fail "this Python cannot make virtual environments" \
                "apt-get install python$minor-venv, then again"
    fi
fi
packages() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'
}

if ! packages; then
    # plyvel has no wheels for Python 3.13 and newer: there it is compiled against LevelDB.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        printf 'trying again with a compiler and the LevelDB headers\n'
        apt-get update -qq >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ libleveldb-dev python3-dev \
            >/dev/null 2>&1 || true
    fi
    packages || fail "packages could not be installed" \
        "check the network; on Python 3.13 or newer: apt-get install g++ libleveldb-dev python3-dev, or use Python 3.11 or 3.12"
fi

# The native accelerator is optional: whatever goes wrong here, the node runs without it.
if ! command -v cargo >/dev/null 2>&1; then
    printf 'native accelerator: not built, there is no cargo; the node runs without it\n'
elif ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --force-reinstall --no-deps ./native >/dev/null 2>&1; then
    printf 'native accelerator: not built, see make native; the node runs without it\n'
fi
