#!/usr/bin/env bash
# The type checker, strict, on the whole product, its benchmarks and its client.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
.venv/bin/mypy mockmarket marketdata portfolios trading benchmarks
# What a program outside sees: the client package and its examples.
MYPYPATH=client .venv/bin/mypy client/mockmarket_client client/examples/*.py
