#!/usr/bin/env bash
# Installs or upgrades MockMarket on one Debian 12 machine, as root: deploy/install.sh SITE
# (trade.example.edu). Safe to repeat, then without the name: the settings, the certificate and the
# nginx site stay as they are; packages, migrations, static files and units follow the code checked out.
set -euo pipefail
umask 022  # under a hardened root's 077 neither the service nor nginx could read what follows

home=/opt/mockmarket state=/var/lib/mockmarket settings=/etc/mockmarket.env tls=/etc/ssl/mockmarket

main() {
    [ "$(id -u)" = 0 ] || die "run this as root"
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    [ "$PWD" = "$home" ] || die "the code must lie in $home, not in $PWD"
    local site="${1:-$(setting ALLOWED_HOSTS)}"
    [[ "$site" =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])$ ]] \
        || die "name the site, as in: deploy/install.sh trade.example.edu"
    say "Debian packages"; packages
    say "The service's user and folders"; accounts
    say "Settings in $settings"; write_settings "$site"
    say "Python and front-end packages"; scripts/setup.sh run
    say "Database"; database
    say "Static files"; .venv/bin/python manage.py collectstatic --noinput --verbosity 0
    say "Documentation"; scripts/docs.sh
    say "nginx"; front "$site"
    say "Processes"; processes "$site"
    say "First look"
    mockmarket doctor || true
    printf '\nhttps://%s is up. Make the first administrator with: mockmarket createsuperuser\n' "$site"
}

say() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The first value of a line of the settings file; nothing before there is one.
setting() { [ ! -f "$settings" ] || sed -n "s/^$1=\([^,]*\).*/\1/p" "$settings"; }

packages() {
    local wanted=(python3-venv postgresql redis-server nginx chrony logrotate openssl ca-certificates)
    dpkg --status "${wanted[@]}" >/dev/null 2>&1 && return
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}"
}

accounts() {
    id mockmarket >/dev/null 2>&1 \
        || useradd --system --user-group --home-dir "$home" --shell /usr/sbin/nologin mockmarket
    chmod -R go+rX .  # the code is root's; the service and nginx read it
    install -d -m 700 -o mockmarket -g mockmarket "$state"
    chown -R mockmarket: "$state"  # whatever root left there
    install -m 755 deploy/mockmarket /usr/local/bin/mockmarket
}

write_settings() {
    if [ ! -f "$settings" ]; then
        install -m 600 /dev/null "$settings"
        sed -e "s|trade.example.edu|$1|" \
            -e "s|^SECRET_KEY=$|&$(openssl rand -hex 32)|" \
            -e "s|^BACKUP_KEY=$|&$(openssl rand -hex 32)|" \
            -e "s|^BROKER_TOKEN_KEYS=$|&$(openssl rand -base64 32 | tr '+/' '-_')|" \
            deploy/mockmarket.env.example >"$settings"
        echo "made with new keys: keep a copy of it where you keep passwords"
    fi
    chown root:mockmarket "$settings"
    chmod 640 "$settings"
    ln -sfn "$settings" .env  # manage.py reads it there
}

# The user comes in over the local socket under its own name and needs no password. An empty
# machine may have no locale, and its cluster would then be SQL_ASCII: say UTF-8 here.
database() {
    if [[ "$(setting DATABASE_URL)" == postgres://mockmarket@/mockmarket ]]; then
        as_postgres psql -qtAc "SELECT 1 FROM pg_roles WHERE rolname = 'mockmarket'" | grep -q 1 \
            || as_postgres createuser mockmarket
        local name
        for name in mockmarket mockmarket_proof; do  # the second is where backups are proven
            as_postgres psql -qtAc "SELECT 1 FROM pg_database WHERE datname = '$name'" | grep -q 1 \
                || as_postgres createdb --owner mockmarket --template template0 \
                    --encoding UTF8 --locale C.UTF-8 "$name"
        done
    fi
    mockmarket migrate --noinput --verbosity 0
    mockmarket seed_market
}

as_postgres() { (cd / && runuser -u postgres -- "$@"); }

front() {
    install -d -m 755 "$tls"
    if [ ! -e "$tls/fullchain.pem" ]; then
        openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj "/CN=$1" \
            -addext "subjectAltName=DNS:$1" -keyout "$tls/privkey.pem" -out "$tls/fullchain.pem" \
            2>/dev/null
        chmod 600 "$tls/privkey.pem"
        echo "a self-signed certificate for 90 days: put the real one into $tls"
    fi
    install -m 644 deploy/nginx/mockmarket-proxy.conf /etc/nginx/
    local made=/etc/nginx/sites-available/mockmarket
    [ -e "$made" ] || sed "s/trade.example.edu/$1/" deploy/nginx/mockmarket.conf >"$made"
    ln -sfn ../sites-available/mockmarket /etc/nginx/sites-enabled/mockmarket
    # Debian's 768 are 384 sockets a worker: one connection to the browser and one to us each.
    sed -i 's/worker_connections 768;/worker_connections 8192;/' /etc/nginx/nginx.conf
    nginx -q -t
    systemctl enable -q nginx
    systemctl reload-or-restart nginx
}

processes() {
    local units=/etc/systemd/system hardening=mockmarket-.service.d
    install -m 644 deploy/systemd/*.{service,timer,target} $units
    install -m 644 -D -t "$units/$hardening" deploy/systemd/$hardening/*
    systemctl daemon-reload
    systemctl enable -q mockmarket.target
    local exchange=disable
    [ "$(setting MARKET_SOURCE)" = upstox ] || exchange=enable
    systemctl "$exchange" -q --now mockmarket-exchange
    systemctl restart mockmarket-engine mockmarket-worker mockmarket-beat
    local unit  # one web process after the other: nginx goes to those that serve
    for unit in $(systemctl list-units --all --plain --no-legend 'mockmarket-web@*' | cut -d' ' -f1 \
        | sort -u - <(printf 'mockmarket-web@%s.service\n' 1 2)); do
        systemctl restart "$unit"
        serves "$1" "${unit//[^0-9]/}" || die "$unit does not serve: journalctl -u $unit -n 50"
    done
    systemctl start mockmarket.target mockmarket-backup
    systemctl start --no-block mockmarket-proof
}

serves() { # serves SITE NUMBER: whether a web process says within a minute that it can serve
    local deadline=$((SECONDS + 60))
    until .venv/bin/python - "$@" <<'PY' 2>/dev/null
import sys, urllib.request as web
web.urlopen(web.Request(f"http://127.0.0.1:800{sys.argv[2]}/readyz", headers={"Host": sys.argv[1]}))
PY
    do
        ((SECONDS < deadline)) || return 1
        sleep 1
    done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then main "$@"; fi  # a test sources single steps
