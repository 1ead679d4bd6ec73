# Shared by the scripts: one clear line for what goes wrong, and progress on long steps.
# shellcheck shell=bash

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

LOG="${VAR_DIR:-var}/setup.log"

# step TITLE COMMAND...: run it quietly, show that time passes, print its last lines if it fails.
step() {
    local title="$1" started=$SECONDS child status=0
    shift
    mkdir -p "$(dirname "$LOG")"
    printf '%s ' "$title"
    "$@" >"$LOG" 2>&1 &
    child=$!
    # A background child ignores Ctrl-C, so it is ended here.
    trap 'kill "$child" 2>/dev/null; echo; exit 130' INT TERM
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.5
        if (((SECONDS - started) % 3 == 0)); then printf '.'; fi
    done
    wait "$child" || status=$?
    trap - INT TERM
    if ((status)); then
        printf ' failed\n'
        tail -n 15 "$LOG" >&2
        die "$title failed (whole log: $LOG)"
    fi
    printf ' done (%d s)\n' $((SECONDS - started))
}

is_root() { [ "$(id -u)" = 0 ]; }

# apt_install PACKAGE...: as root on Debian; otherwise false.
apt_install() {
    is_root && command -v apt-get >/dev/null || return 1
    if ! apt-cache show "$1" >/dev/null 2>&1; then step "Reading Debian's package lists" apt-get update; fi
    step "Installing $* from Debian" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"
}

# same_as FILE TEXT: whether a stamp file says TEXT.
same_as() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
