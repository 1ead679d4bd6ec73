#!/usr/bin/env bash
# Every benchmark in turn; each prints its figures. QUICK=1 for the short form, ARGS for more.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
options=(${QUICK:+--quick} ${ARGS:-})
for file in benchmarks/*.py; do
    name=$(basename "$file" .py)
    # Shared helpers are not benchmarks.
    grep -q '__main__' "$file" || continue
    printf '\n== %s\n' "$name"
    .venv/bin/python -m "benchmarks.$name" "${options[@]}"
done
