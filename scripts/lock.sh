#!/usr/bin/env bash
# Compile requirements/*.in to the pinned .txt files: no host names, no annotations.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    step "Installing uv" .venv/bin/python -m pip install --disable-pip-version-check "$(cat requirements/uv.txt)"
    uv=.venv/bin/uv
fi
for name in base production dev; do
    "$uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
        --universal "requirements/$name.in" -o "requirements/$name.txt"
    echo "requirements/$name.txt: $(wc -l <"requirements/$name.txt") packages"
done
