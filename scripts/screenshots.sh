#!/bin/sh
# Pictures of every page of the running product, to screenshots/ (see scripts/screenshots.py).
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python scripts/screenshots.py "$@" "http://127.0.0.1:${PORT:-8000}"
