#!/usr/bin/env bash
# The tests: test.sh all | units | journeys | faults. PYTEST_ARGS are passed on.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
what="${1:-all}"
scripts/setup.sh dev
[ "$what" = faults ] || scripts/docs.sh
read -r -a more <<<"${PYTEST_ARGS:-}"

# What `make test` needs beyond pip and npm: a browser.
if ! command -v chromium >/dev/null && [ "$what" != units ]; then
    apt_install chromium || die "Chromium is missing: apt-get install chromium"
fi
# The Node.js inside Playwright's wheel wants a library that a bare Debian lacks.
if [ "$what" != units ] && ! .venv/bin/python -m playwright --version >/dev/null 2>&1; then
    apt_install libatomic1 || die "Playwright does not start: apt-get install libatomic1"
fi

# Real sockets, processes and browsers share two cores here, so a test that failed is run once more.
# One that then passes is listed as RERUN at the end: something to mend, but not a broken build.
again=(--reruns 1 -r aR --durations 15)

# Else every process that a test starts compiles Django anew: 7 s of work before its first line.
unset PYTHONDONTWRITEBYTECODE

units() {
    .venv/bin/python -m tests.support.run pytest -n "${WORKERS:-2}" --dist loadgroup --no-loadscope-reorder \
        -m "not journey and not fault" "${again[@]}" "${more[@]}"
}
journeys() {
    # Each flavour of the product on a worker of its own: much of a journey is waiting.
    .venv/bin/python -m tests.support.run pytest -n "${WORKERS:-2}" --dist loadgroup --no-loadscope-reorder \
        -m "journey and not fault" "${again[@]}" "${more[@]}"
}

case "$what" in
    units) units ;;
    journeys) journeys ;;
    faults)
        # Sets the clock of whole processes; without it those tests say that they are skipped.
        compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || apt_install libfaketime || true
        .venv/bin/python -m tests.support.run pytest -m "fault" --timeout 1800 "${more[@]}"
        ;;
    all) units && journeys ;;
    *) die "test.sh all | units | journeys | faults" ;;
esac
