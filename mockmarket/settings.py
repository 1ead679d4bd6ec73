"""Settings, all from the environment (django-environ). `.env.example` lists every one.

The file runs straight after a clone: SQLite, an embedded Valkey started by `manage.py up`,
a simulated exchange. Production differs only by environment variables.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONCE
from django.core.exceptions import ImproperlyConfigured

from mockmarket.core import documentation, logs
from mockmarket.staff_site import UNFOLD  # noqa: F401 (read by the admin)

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):  # type: ignore[misc]  # it carries no types
    """django-environ's, that names the variable which it cannot read."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} cannot be read: {error}") from error


env = Env()
env.read_env(str(BASE_DIR / ".env"))

# Everything the running product writes: database, recordings, sockets, generated secrets.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))


def _generated_secret(name: str) -> str:
    """A secret kept in VAR_DIR, made on first use, for machines where none is configured."""
    from django.core.management.utils import get_random_secret_key

    path = VAR_DIR / name
    if not path.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as handle:
                path.chmod(0o600)
                handle.write(get_random_secret_key())
        except FileExistsError:  # another process was first
            pass
    return path.read_text()


# --- Core -------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY_GENERATED = not env.str("SECRET_KEY", default="")
SECRET_KEY = env.str("SECRET_KEY", default="") or _generated_secret("secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
# Exact origins (scheme, host, port) that may open a WebSocket and post forms.
ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = [o for o in ALLOWED_ORIGINS if o.startswith("https://")]
# True when the site is served over HTTPS; turns on secure cookies, HSTS and redirects.
HTTPS = env.bool("HTTPS", default=False)

ROOT_URLCONF = "mockmarket.urls"
ASGI_APPLICATION = "mockmarket.asgi.application"
AUTH_USER_MODEL = "core.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # For its runserver alone: Twisted would be loaded by every other process too.
    *(["daphne"] if "runserver" in sys.argv else []),
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "axes",
    "csp",
    "mockmarket.core",
    "marketdata",
    "portfolios",
    "trading",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mockmarket.core.boost.BoostMiddleware",
    "mockmarket.core.middleware.RequestIdMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mockmarket.shell.context",
            ],
        },
    }
]

# --- Database ---------------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
if "ENGINE" not in DATABASES["default"]:
    raise ImproperlyConfigured("DATABASE_URL is neither postgres://… nor sqlite:///…")
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Threads of one process queue for the write lock instead of polling it with pauses.
    DATABASES["default"]["ENGINE"] = "mockmarket.core.databases.sqlite3"
    # IMMEDIATE: under the default DEFERRED, 69 to 74 of 80 racing debits died at once with
    # "database is locked", because a read-to-write upgrade cannot wait.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
        ),
    }
    # A file: the default shared in-memory database refuses concurrent writers ("table is
    # locked") whatever the timeout, so races could not be tested.
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    # The web's threads are few and live long (mockmarket/core/threads.py).
    DATABASES["default"]["CONN_MAX_AGE"] = None
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {
        # A full pool or a server that is away is an answer (503, try again), not a long wait:
        # the default is 30 s, by when every thread of the process stands in the queue.
        "pool": {
            "min_size": 0,
            "max_size": env.int("DATABASE_POOL_MAX", default=10),
            "timeout": 2.5,
            "reconnect_timeout": 30,
        },
        "connect_timeout": 2,
        "options": (
            "-c statement_timeout=5000 -c lock_timeout=3000"
            " -c idle_in_transaction_session_timeout=30000"
        ),
    }

# --- Redis: channel layer, cache, Celery broker -----------------------------------------
# `manage.py up` starts an embedded Valkey where REDIS_URL is unset and leaves its address in
# this file, so that a second terminal finds the same server.
REDIS_URL_FILE = VAR_DIR / "redis.url"
REDIS_EMBEDDED = not env.str("REDIS_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="") or (
    REDIS_URL_FILE.read_text().strip() if REDIS_URL_FILE.exists() else "redis://127.0.0.1:6379/0"
)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL}],
            "prefix": env.str("REDIS_PREFIX", default="mockmarket"),
        },
    }
}
REDIS_PREFIX = env.str("REDIS_PREFIX", default="mockmarket")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": f"{REDIS_PREFIX}:cache",
    }
}
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": f"{REDIS_PREFIX}:celery:"}
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Threads: every job waits for the network or the database, and a worker without children of
# its own cannot leave one behind.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env.int("WORKER_THREADS", default=4)

# --- Processes of `manage.py up` --------------------------------------------------------
WEB_SERVER = env.str("WEB_SERVER", default="uvicorn")  # uvicorn | daphne
# Addresses of proxies whose X-Forwarded-For is believed, comma separated; "*" for any.
TRUSTED_PROXIES = env.str("TRUSTED_PROXIES", default="127.0.0.1")
WEB_PROCESSES = env.int("WEB_PROCESSES", default=1)
# The one password of the demo logins; empty: generated once and kept in VAR_DIR.
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")

# --- Backups ----------------------------------------------------------------------------
BACKUP_DIR = env.str("BACKUP_DIR", default=str(VAR_DIR / "backups"))
# Encrypts the generated secrets inside a backup; without it they are left out.
BACKUP_KEY = env.str("BACKUP_KEY", default="")

# --- Logs -------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="console")  # console | json
# Lets a Prometheus server read /metrics as a bearer token; empty: only signed-in staff may.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
LOGGING = logs.configuration(level=LOG_LEVEL, form=LOG_FORMAT)

# --- Market -----------------------------------------------------------------------------
MARKET_SOURCE = env.str("MARKET_SOURCE", default="simulated")  # simulated | replay | upstox
MARKET_HOURS = env.str("MARKET_HOURS", default="always")  # always | nse (simulated source only)
MARKET_REPLAY_DIR = env.str("MARKET_REPLAY_DIR", default="")  # a recorded day
MARKET_REPLAY_SPEED = env.float("MARKET_REPLAY_SPEED", default=1.0)
UPSTOX_REST_URL = env.str("UPSTOX_REST_URL", default="http://127.0.0.1:8765")
UPSTOX_FEED_URL = env.str("UPSTOX_FEED_URL", default="ws://127.0.0.1:8765/v3/feed/market-data-feed")
UPSTOX_ACCESS_TOKEN = env.str("UPSTOX_ACCESS_TOKEN", default="simulated")
# Fernet keys, comma separated: the first encrypts the broker's token, all decrypt it.
BROKER_TOKEN_KEYS = env.list("BROKER_TOKEN_KEYS", default=[])
UPSTOX_CLIENT_ID = env.str("UPSTOX_CLIENT_ID", default="")
UPSTOX_CLIENT_SECRET = env.str("UPSTOX_CLIENT_SECRET", default="")
UPSTOX_REDIRECT_URL = env.str("UPSTOX_REDIRECT_URL", default="")
MINUTE_CANDLE_DAYS = env.int("MINUTE_CANDLE_DAYS", default=400)
NEWS_DAYS = env.int("NEWS_DAYS", default=14)
QUOTE_AGE_MS_MAX = env.int("QUOTE_AGE_MS_MAX", default=5000)
# Whether the practice contest trades futures and options (and writes them, on margin).
PRACTICE_DERIVATIVES = env.bool("PRACTICE_DERIVATIVES", default=False)

# How often an index's option chain is swept by REST; a share's, 2.5 times as long.
OPTION_SWEEP_SECONDS = env.int("OPTION_SWEEP_SECONDS", default=120)
# Days for which a session's chain snapshots are kept; closing ones stay.
OPTION_SESSION_DAYS = env.int("OPTION_SESSION_DAYS", default=5)

# --- Stream -----------------------------------------------------------------------------
STREAM_INSTRUMENTS_PER_USER_MAX = env.int("STREAM_INSTRUMENTS_PER_USER_MAX", default=100)
STREAM_CHANGES_PER_MINUTE = env.int("STREAM_CHANGES_PER_MINUTE", default=10)
STREAM_SOCKETS_PER_USER_MAX = env.int("STREAM_SOCKETS_PER_USER_MAX", default=5)
STREAM_IDLE_SECONDS = env.int("STREAM_IDLE_SECONDS", default=3600)
STREAM_BEAT_MS = env.int("STREAM_BEAT_MS", default=20)

# --- Sign-in and browser security -------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
# Lock an account with its address, never an address alone: a campus sits behind one.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES_MAX", default=10)
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked on the process's own port
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ("/admin/",),
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", NONCE],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}

# --- API --------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mockmarket.core.api.auth.BearerAuthentication",
        "mockmarket.core.api.auth.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["mockmarket.core.api.content.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mockmarket.core.api.content.JsonParser"],
    "DEFAULT_SCHEMA_CLASS": "mockmarket.core.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "mockmarket.core.api.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
}
# Requests a user may send, over all web processes together.
ORDERS_PER_SECOND = env.int("ORDERS_PER_SECOND", default=10)
ORDERS_PER_MINUTE = env.int("ORDERS_PER_MINUTE", default=200)
READS_PER_SECOND = env.int("READS_PER_SECOND", default=50)
# What one API token may use of its user's limits.
TOKEN_LIMIT_PERCENT = env.int("TOKEN_LIMIT_PERCENT", default=100)
LOGINS_PER_MINUTE = env.int("LOGINS_PER_MINUTE", default=20)
LOGINS_PER_ADDRESS_PER_MINUTE = env.int("LOGINS_PER_ADDRESS_PER_MINUTE", default=1000)
API_BODY_BYTES_MAX = env.int("API_BODY_BYTES_MAX", default=262_144)
WEBHOOKS_PER_USER_MAX = env.int("WEBHOOKS_PER_USER_MAX", default=5)
# Hosts that webhooks may reach although they are private, without TLS too: a receiver on campus.
WEBHOOK_TRUSTED_HOSTS = env.list("WEBHOOK_TRUSTED_HOSTS", default=[])
API_TOKENS_PER_USER_MAX = env.int("API_TOKENS_PER_USER_MAX", default=10)
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("JWT_ACCESS_MINUTES", default=10)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("JWT_REFRESH_DAYS", default=14)),
    "UPDATE_LAST_LOGIN": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MockMarket API",
    "DESCRIPTION": "Market data, contests, portfolios and orders of a campus paper-trading server.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "ENUM_NAME_OVERRIDES": {
        "ContestStateEnum": "portfolios.models.Contest.State",
        "DeliveryStateEnum": "mockmarket.core.models.WebhookDelivery.State",
        "AlertKindEnum": "trading.models.Alert.Kind",
        "JournalKindEnum": "portfolios.models.JournalEntry.Kind",
        "LedgerKindEnum": "portfolios.models.LedgerEntry.Kind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "mockmarket.core.api.examples.add_examples",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

# --- Language, time, files --------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("hi", "हिन्दी")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
FORMAT_MODULE_PATH = ["mockmarket.formats"]
USE_TZ = True
TIME_ZONE = "Asia/Kolkata"  # shown time only; everything stored is UTC

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
# Production serves collected files under names with their hash, compressed, cached for ever;
# elsewhere the files are served from where they lie, and nothing needs to be collected.
STATIC_HASHED = env.bool("STATIC_HASHED", default=HTTPS)
WHITENOISE_USE_FINDERS = not STATIC_HASHED
# The documentation, under /docs/, where scripts/docs.sh has built it.
DOCUMENTATION = (BASE_DIR / "site" / "docs" / "index.html").exists()
WHITENOISE_ROOT = BASE_DIR / "site" if DOCUMENTATION else None
WHITENOISE_INDEX_FILE = True
WHITENOISE_ADD_HEADERS_FUNCTION = documentation.add_headers
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if STATIC_HASHED
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "mockmarket.core.staticfiles.NodePackageFinder",
]
