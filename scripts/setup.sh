#!/usr/bin/env bash
# Make what the product needs, once: setup.sh run (the product) or setup.sh dev (tests as well).
# A stamp beside each installed set makes the next call a matter of milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

what="${1:-run}"
[ "$(uname -s)" = Linux ] || die "MockMarket runs on Linux (this is $(uname -s))"

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local python
    python=$(find_python) || { apt_install python3 python3-venv && python=$(find_python); } \
        || die "Python 3.11 or newer is needed, found $(python3 --version 2>/dev/null || echo none)"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || die "Python's venv module is missing: apt-get install python3-venv"
    fi
    rm -rf .venv
    step "Making .venv with $("$python" --version)" "$python" -m venv .venv
}

# Also false for a copied or half-made environment: its interpreter must know itself under .venv.
venv_works() {
    [ -x .venv/bin/python ] && .venv/bin/python - <<PY 2>/dev/null
import os, sys, pip
sys.exit(os.path.realpath(sys.prefix) != os.path.realpath(".venv") or sys.version_info < (3, 11))
PY
}

install_python() { # install_python NAME: requirements/NAME.txt
    local stamp
    stamp="$(cat requirements/*.txt | sha256sum | cut -d' ' -f1)"
    same_as .venv/.installed-dev "$stamp" && return
    same_as ".venv/.installed-$1" "$stamp" && return
    # uv installs in seconds what takes pip a minute; without it pip does the same.
    local uv pip=(.venv/bin/python -m pip install --disable-pip-version-check --no-input
        --root-user-action=ignore)
    uv=$(command -v uv || echo .venv/bin/uv)
    [ -x "$uv" ] || "${pip[@]}" --quiet --only-binary :all: "$(cat requirements/uv.txt)" 2>/dev/null || true
    local status=1
    if [ -x "$uv" ]; then
        status=0
        (step "Installing Python packages" \
            "$uv" pip install --python .venv/bin/python -r "requirements/$1.txt") || status=$?
    fi
    ((status != 130)) || exit 130
    ((status == 0)) || step "Installing Python packages with pip, some minutes" \
        "${pip[@]}" -r "requirements/$1.txt"
    echo "$stamp" >".venv/.installed-$1"
}

find_npm() {
    if command -v npm >/dev/null; then command -v npm; return; fi
    [ -x .venv/bin/npm ] || step "No npm here: installing Node.js from pip" .venv/bin/python -m pip \
        install --disable-pip-version-check --root-user-action=ignore "$(cat requirements/node.txt)" >&2
    echo "$PWD/.venv/bin/npm"
}

install_node() { # install_node run|dev
    local stamp npm
    stamp="$(sha256sum package-lock.json | cut -d' ' -f1)"
    same_as node_modules/.installed-dev "$stamp" && return
    same_as "node_modules/.installed-$1" "$stamp" && return
    npm=$(find_npm)
    local omit=()
    [ "$1" = dev ] || omit=(--omit=dev)
    PATH="$PWD/.venv/bin:$PATH" step "Fetching front-end packages" \
        "$npm" ci "${omit[@]}" --ignore-scripts --no-audit --no-fund
    echo "$stamp" >"node_modules/.installed-$1"
}

venv_works || make_venv
if [ "$what" = dev ]; then install_python dev; else install_python base; fi
install_node "$what"
