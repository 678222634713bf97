#!/bin/sh
# Install what `make bench` compares with: install_peers.sh PYTHON
# Servers come from Debian's packages and are stopped again: the benchmark starts its own, on
# free ports of 127.0.0.1, with their data in bench-results/.  Needs root and apt; elsewhere
# install etcd and PostgreSQL by hand.  What is not there is left out of the results by name.
set -eu
python=$1
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # The packages would start servers of their own, which would take part in every figure.
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made=1
    fi
    trap '[ -z "$made" ] || rm -f "$policy"' EXIT
    missing=
    command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    if [ -n "$missing" ]; then
        apt-get update -qq >/dev/null
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
            >/dev/null
    fi
else
    printf 'no root or no apt: install etcd and PostgreSQL by hand\n'
fi
"$python" -m pip install --quiet --disable-pip-version-check -e '.[peers]'
command -v etcd >/dev/null 2>&1 && etcd --version | head -n 1 || printf 'etcd: not there\n'
ls -d /usr/lib/postgresql/*/bin 2>/dev/null || printf 'PostgreSQL: not there\n'
