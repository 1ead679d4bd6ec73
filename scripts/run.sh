#!/usr/bin/env bash
# From a clean clone to the running product; the second time in seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

port="${PORT:-8000}"
[[ "$port" =~ ^[0-9]+$ ]] && ((port > 0 && port < 65536)) || die "PORT must be a number up to 65535, was '$port'"
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port is busy; choose another: make run PORT=$((port + 1))"
fi
scripts/setup.sh run
scripts/docs.sh
exec .venv/bin/python manage.py up --demo --port "$port"
