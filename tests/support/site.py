"""A campus server in one process tree: nginx with deploy/'s own site, two web processes, the rest.

Everything is the production form: TLS, hashed static files, PostgreSQL, Redis. Only addresses,
paths and the certificate differ from what is installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support import services
from tests.support.network import free_port, is_open
from tests.support.product import ROOT
from tests.support.waiting import eventually

NAME = "trade.example.edu"
PASSWORD = "a-long-demo-password"


class Site:
    """A running site; `session()` speaks to it as the outside world does."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.https, self.http = free_port(), free_port()
        self.web_ports = {1: free_port(), 2: free_port()}
        self.certificate = folder / "fullchain.pem"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Where nginx listens with TLS."""
        return f"https://127.0.0.1:{self.https}"

    def session(self, user: str | None = None) -> requests.Session:
        """A client that trusts the test's certificate; signed in as a program for `user`."""
        client = requests.Session()
        client.verify = str(self.certificate)
        client.headers["Host"] = NAME
        client.trust_env = False
        if user is not None:
            answer = client.post(
                f"{self.url}/api/v1/auth/token/",
                json={"username": user, "password": PASSWORD},
                timeout=30,
            )
            answer.raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        return client

    def manage(self, *arguments: str) -> str:
        """The output of a management command on this site."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True,
            timeout=600,
        ).stdout  # fmt: skip

    def start(self, name: str, *arguments: str) -> None:
        """Start one process of the product, as its systemd unit would."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=services.end_with_parent,
            )  # fmt: skip

    def start_web(self, number: int) -> None:
        """Start web process 1 or 2 and wait until it can serve."""
        port = self.web_ports[number]
        self.start(f"web-{number}", "serve", "--port", str(port))
        eventually(lambda: self._ready(port), seconds=120, poll=0.2)

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End one process and wait for it."""
        process = self.processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ready(self, port: int) -> bool:
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", headers={"Host": NAME}, timeout=5)
        return answer.status_code == 200


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    """A site with seeded demo users, ready to serve; everything ends with the block."""
    with ExitStack() as ending:
        found = services.found_postgres()
        if found is None:
            server = services.start_postgres()
            ending.callback(server.stop)
            found = server.url
        redis = services.start_redis()
        ending.callback(redis.stop)
        database = f"mm_site_{uuid.uuid4().hex[:8]}"
        url = services.create_database(found, database)
        ending.callback(services.drop_database, found, database)
        exchange = free_port()
        site = Site(
            folder,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "VAR_DIR": str(folder / "var"),
                "HTTPS": "true",
                "STATIC_ROOT": str(folder / "staticfiles"),
                "SECRET_KEY": uuid.uuid4().hex * 3,
                "ALLOWED_HOSTS": NAME,
                "ALLOWED_ORIGINS": f"https://{NAME}",
                "DATABASE_URL": url,
                "REDIS_URL": redis.url,
                "DEMO_PASSWORD": PASSWORD,
                "UPSTOX_REST_URL": f"http://127.0.0.1:{exchange}",
                "UPSTOX_FEED_URL": f"ws://127.0.0.1:{exchange}/v3/feed/market-data-feed",
                "LOGIN_FAILURES_MAX": "1000",
            },
        )
        site.manage("migrate", "-v", "0")
        site.manage("seed_demo")
        # Without the files of the admin and the API's page: compressing them takes minutes.
        unused = ("admin", "unfold", "drf_spectacular_sidecar", "rest_framework")
        ignored = [word for name in unused for word in ("--ignore", name)]
        site.manage("collectstatic", "--noinput", "-v", "0", *ignored)
        ending.callback(_end_all, site)
        site.start("exchange", "simulate_exchange", "--port", str(exchange))
        eventually(lambda: is_open(exchange), seconds=60)
        site.start("engine", "run_market")
        for number in site.web_ports:
            site.start_web(number)
        _start_nginx(site)
        yield site


def _end_all(site: Site) -> None:
    for name in list(site.processes):
        site.end(name)


def _start_nginx(site: Site) -> None:
    """The repository's site file, with this test's addresses and paths in it."""
    make_certificate(site.folder)
    text = (ROOT / "deploy" / "nginx" / "mockmarket.conf").read_text()
    changes = {
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "listen 80;": f"listen 127.0.0.1:{site.http};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{site.https} ssl http2;",
        "/etc/ssl/mockmarket": str(site.folder),
        "/opt/mockmarket/staticfiles": str(site.folder / "staticfiles"),
        "/etc/nginx/mockmarket-proxy.conf": str(
            ROOT / "deploy" / "nginx" / "mockmarket-proxy.conf"
        ),
        "127.0.0.1:8001": f"127.0.0.1:{site.web_ports[1]}",
        "127.0.0.1:8002": f"127.0.0.1:{site.web_ports[2]}",
    }
    for old, new in changes.items():
        assert old in text, f"deploy/nginx/mockmarket.conf no longer says {old}"
        text = text.replace(old, new)
    configuration = site.folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {site.folder}/nginx.pid; error_log {site.folder}/nginx.error.log;\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        "events { worker_connections 4096; }\n"
        "http {\n  include /etc/nginx/mime.types;\n"
        f"  access_log {site.folder}/nginx.access.log;\n"
        + "".join(
            f"  {kind}_temp_path {site.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + text
        + "}\n"
    )
    site.processes["nginx"] = subprocess.Popen(
        [nginx_program() or "nginx", "-c", str(configuration)],
        preexec_fn=services.end_with_parent,
        start_new_session=True,
    )
    eventually(lambda: is_open(site.https))


def nginx_program() -> str | None:
    """Debian's nginx, where it is installed."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def make_certificate(folder: Path) -> None:
    """A self-signed certificate for the site's name and loopback."""
    from datetime import timedelta
    from ipaddress import IPv4Address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from mockmarket.core import clock

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names: list[Any] = [x509.DNSName(NAME), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - timedelta(hours=1))
        .not_valid_after(clock.now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
