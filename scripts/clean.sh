#!/usr/bin/env bash
# Remove what was installed or generated. var/ holds data and stays.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .venv node_modules staticfiles site htmlcov .coverage screenshots \
    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
find . -name __pycache__ -type d -prune -exec rm -rf {} +
echo "Clean. Your data is still in var/; remove that folder to begin afresh."
