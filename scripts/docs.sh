#!/usr/bin/env bash
# Build docs/ to site/docs, which the product serves under /docs/; what has not changed is not built.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
stamp="$(find docs mkdocs.yml -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)"
same_as .venv/.documentation "$stamp" && [ -e site/docs/index.html ] && exit 0
step "Building the documentation" env NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
echo "$stamp" >.venv/.documentation
