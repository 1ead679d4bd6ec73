#!/usr/bin/env bash
# Every static check. Runs them all, then fails if one did.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
failed=()
check() { # check NAME COMMAND...
    local name="$1"
    shift
    if "$@"; then echo "ok: $name"; else failed+=("$name"); echo "FAILED: $name" >&2; fi
}
templates() { git ls-files -z 'templates/*.html' | xargs -0 -r .venv/bin/djade --check --target-version 5.2; }
scripts() { for file in scripts/*.sh .ci/run; do bash -n "$file" || return 1; done; }
browser() { git ls-files 'static/js/*.js' | while read -r file; do node --check "$file" || return 1; done; }

export PATH="$PWD/.venv/bin:$PATH"
check "ruff" ruff check --quiet .
check "format" ruff format --check --quiet .
check "layers" lint-imports --no-logo
check "templates" templates
check "migrations" env VAR_DIR="$(mktemp -d)" python manage.py makemigrations --check --dry-run
check "house rules" python -m tests.support.house_rules
check "shell scripts" scripts
check "JavaScript" browser
check "documentation" env NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet --site-dir "$(mktemp -d)"
if ((${#failed[@]})); then
    echo "lint failed: ${failed[*]}" >&2
    exit 1
fi
