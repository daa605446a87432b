"""All settings of crmsync in one file, read from the environment with types; what is missing in production fails loudly.

`CRMSYNC_VAR` (default `var/`) is where an installation keeps its state: embedded servers, secret keys, attachments.
With `DATABASE_URL` and `REDIS_URL` external servers are used instead of the embedded ones.
"""

import secrets as random_source
from pathlib import Path
from urllib.parse import unquote

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from crmsync_site.embedded import addresses

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

VAR = addresses.var_folder()
DEBUG = env.bool("CRMSYNC_DEBUG", default=False)
PORT = env.int("CRMSYNC_PORT", default=8000)


def _kept_secret(name: str) -> str:
    """Return a secret of this installation: from the environment, else from `VAR`, made there at the first use."""
    given = str(env.str(f"CRMSYNC_{name.upper()}", default=""))
    if given:
        return given
    path = VAR / "keys" / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error.strerror}). Give this user access to CRMSYNC_VAR, or set CRMSYNC_{name.upper()}."
        ) from error
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written under another name and linked into place: of two first processes one wins and both read the same secret.
    draft = path.with_name(f"{name}.{random_source.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(random_source.token_urlsafe(48))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()


SECRET_KEY = _kept_secret("secret_key")
# Newest key first: it encrypts, all of them decrypt. Any strings; security.secrets derives the Fernet keys.
ENCRYPTION_KEYS = _kept_secret("encryption_keys").split(",")
# One key per installation for the keyed hash of a refused Message-ID (design §4).
MESSAGE_ID_KEY = _kept_secret("message_id_key")
# What tracking tokens are made and read with. A new key ends the meaning of every token that is out in the world.
TOKEN_KEY = _kept_secret("token_key")

ALLOWED_HOSTS = env.list("CRMSYNC_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CRMSYNC_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "guardian",
    "csp",
    "crmsync_site",
    "crmsync_site.ui",
    "security",
    "mailboxes",
    "tracking",
    # Behind ours: of two commands with one name the earlier app's is taken, and `rqworker` is ours.
    "django_rq",
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
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "crmsync_site.ui.middleware.reload_when_signed_out",
]

ROOT_URLCONF = "crmsync_site.urls"
ASGI_APPLICATION = "crmsync_site.asgi.application"

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
                "crmsync_site.ui.context.appearance",
            ],
        },
    }
]

# -- database, queue, cache ------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=addresses.database_url(VAR))}
# A socket folder stands percent-encoded in the place of the host.
DATABASES["default"]["HOST"] = unquote(str(DATABASES["default"]["HOST"]))
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 5
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default=addresses.redis_url(VAR))
# Urgency, most urgent first (design §5). Results are rows of ours, so Redis keeps none.
QUEUES = ("immediate", "sync", "bulk", "maintenance")
# JSON, so that whoever can write to Redis can name our functions but not bring code of his own.
RQ_QUEUES = {
    name: {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": 900,
        "DEFAULT_RESULT_TTL": 0,
        "SERIALIZER": "rq.serializers.JSONSerializer",
    }
    for name in QUEUES
}
RQ = {
    "WORKER_CLASS": "tracking.workers.worker.SyncWorker",
    "JOB_CLASS": "rq.job.Job",
    "SHOW_ADMIN_LINK": False,
    "COMMIT_MODE": "on_db_commit",
}

# -- people ----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "security.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "sign_in"
ANONYMOUS_USER_NAME = None  # guardian: nobody who has not signed in has a right to anything

# -- web safety ------------------------------------------------------------------------------------------------------

# Behind a proxy that ends TLS: CRMSYNC_HTTPS=1 makes cookies secure and answers plain requests with a redirect.
HTTPS = env.bool("CRMSYNC_HTTPS", default=False)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/$"]  # monitors and proxies ask from inside
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# -- language and time -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ca", _("Catalan"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("CRMSYNC_TIME_ZONE", default="UTC")
USE_TZ = True

# -- files -----------------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Bodies of attachments, content-addressed (tracking.engine.blobs).
BLOB_ROOT = Path(env.str("CRMSYNC_BLOBS", default=str(VAR / "blobs")))

# -- the engine ------------------------------------------------------------------------------------------------------

# A run whose heartbeat is older than this is taken to be dead: its mailbox may be claimed again. Must exceed the
# longest wait for a mail server (provider read time-out, 30 s).
LEASE_SECONDS = env.int("CRMSYNC_LEASE_SECONDS", default=90)
# Rules for tracked folders that a mailbox may have. All followed folders are asked about in one request, so this bounds
# what an idle run costs.
TRACKED_FOLDERS = env.int("CRMSYNC_TRACKED_FOLDERS", default=50)
# Attempts at a mail that fails in the middle each time, before a person decides: with the waits between them about a day.
SEND_ATTEMPTS = env.int("CRMSYNC_SEND_ATTEMPTS", default=32)
# Jobs a worker process does before it is replaced by a fresh one; bounds what a leak in a library can cost.
WORKER_JOBS = env.int("CRMSYNC_WORKER_JOBS", default=5_000)
# Resident memory in MB at which a worker process ends after its job, to be started anew.
WORKER_MEMORY_MB = env.int("CRMSYNC_WORKER_MEMORY_MB", default=400)

# -- logging ---------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"class": "security.logs.Formatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("CRMSYNC_LOG_LEVEL", default="INFO")},
    "loggers": {
        # exchangelib logs whole requests, subjects and bodies included, when something surprises it.
        "exchangelib.util": {"level": "CRITICAL", "propagate": False, "handlers": []},
        "exchangelib.util.xml": {"level": "CRITICAL", "propagate": False, "handlers": []},
        "exchangelib": {"level": "WARNING"},
        "rq.worker": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
