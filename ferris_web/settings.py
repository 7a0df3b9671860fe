"""Django's settings, derived from `ferris.config.Settings`: nothing here reads the environment itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from ferris.adapters import log_lines
from ferris.config import ROOT, Settings
from ferris.errors import ConfigError

try:
    FERRIS = Settings.from_env()
except ConfigError as error:
    raise ImproperlyConfigured(str(error)) from None

SECRET_KEY = FERRIS.secret_key
DEBUG = FERRIS.debug
ALLOWED_HOSTS = list(FERRIS.allowed_hosts)
_https = FERRIS.public_url.startswith("https:")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "ferris_web.static_files.StaticFiles",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "ferris_web",
    "ferris_web.accounts",
    "django.contrib.auth",  # after ours, whose commands of the same names go on with its
    "ferris_web.catalog",
    "ferris_web.executions",
    "ferris_web.api",
    "ferris_web.console",
    "embedded",
]
AUTH_USER_MODEL = "accounts.User"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "ferris_web.languages.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "ferris_web.console.middleware.ContentSecurityPolicyMiddleware",
    "ferris_web.api.repeats.IdempotencyMiddleware",
    "ferris_web.executions.auditing.AuditMiddleware",
    "ferris_web.accounts.required.SecondFactorMiddleware",
]
ROOT_URLCONF = "ferris_web.urls"
ASGI_APPLICATION = "ferris_web.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


def _database(url: str) -> dict[str, Any]:
    """Django's form of FERRIS_DATABASE: sqlite:////absolute/path or postgresql://user:password@host:port/name."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path),
            "OPTIONS": {
                "timeout": 30,
                # Take the write lock at BEGIN: a read that turns into a write would fail at once otherwise.
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;"
                "PRAGMA temp_store=MEMORY;",
            },
            "CONN_MAX_AGE": None,
        }
    if parts.scheme in ("postgresql", "postgres"):
        return _postgresql(parts)
    raise _database_error(f"has the scheme {parts.scheme!r}")


def _postgresql(parts: SplitResult) -> dict[str, Any]:
    """A connection per thread, kept for ten minutes and looked at before each request uses it."""
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    name = unquote(parts.path.strip("/"))
    try:
        port = parts.port or 5432
    except ValueError:
        raise _database_error("names a port that is none") from None
    if not parts.hostname or not parts.username or not name or set(options) - {"sslmode", "sslrootcert"}:
        raise _database_error("does not say user, host and database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": port,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, "application_name": "ferris", **options},
    }


def _database_error(problem: str) -> ImproperlyConfigured:
    remedy = (
        "use sqlite:////absolute/path/ferris.db or postgresql://user:password@host:5432/name?sslmode=require"
    )
    return ImproperlyConfigured(str(ConfigError("FERRIS_DATABASE", problem, remedy)))


DATABASES = {"default": _database(FERRIS.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
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
LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "console:dashboard"
LOGOUT_REDIRECT_URL = "console:sign-in"

# allauth does the sign-ins by OpenID Connect and the second factors. None of its addresses is routed and none of its
# templates shown: pages, rules and texts are the console's.
ACCOUNT_ADAPTER = "ferris_web.accounts.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "ferris_web.accounts.adapters.ProviderAdapter"
MFA_ADAPTER = "ferris_web.accounts.second_factors.FactorAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = "ferris_session"
CSRF_COOKIE_NAME = "ferris_csrf"
CSRF_TRUSTED_ORIGINS = [FERRIS.public_url]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_SSL_REDIRECT = False  # the proxy that ends TLS does this; health probes come without it
X_FRAME_OPTIONS = "SAMEORIGIN"  # the console shows artifacts in frames of its own
# What `check --deploy` asks for beside these is not ours to decide: whether all names below the domain have TLS (W005,
# W021), the redirect to https (W008: above), and frames from elsewhere are refused already (W019).
SILENCED_SYSTEM_CHECKS = [f"security.W{number}" for number in ("005", "008", "019", "021")]
DATA_UPLOAD_MAX_MEMORY_SIZE = 17 * 1024 * 1024  # a batch of events has at most 16 MiB

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [Path(__file__).resolve().parent / "locale"]
LANGUAGE_COOKIE_NAME = "ferris_language"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = _https
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "build" / "static"  # see ferris_web.static_files
STORAGES = {"staticfiles": {"BACKEND": "ferris_web.static_files.Storage"}}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ferris_web.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["ferris_web.api.needs.RoutePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["ferris_web.api.throttle.PerCaller"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ferris_web.api.parsing.JsonParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "ferris_web.api.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Ferris",
    "DESCRIPTION": "Events in, executions out: the REST API of the Ferris platform.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # `enum` lists the choices; their labels are the console's
    "PREPROCESSING_HOOKS": ["ferris_web.api.schema.documented"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "ferris_web.api.schema.with_nulls",
        "ferris_web.api.schema.with_problems",
        "ferris_web.api.schema.with_headers",
        "ferris_web.api.examples.with_examples",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ExecutionStatus": "ferris_web.executions.models.STATUSES",
        "StepStatus": "ferris_web.api.serializers.executions.STEP_STATUSES",
        "BulkAction": "ferris_web.api.serializers.bulk.BULK_ACTIONS",
        "BulkList": "ferris_web.api.serializers.bulk.BULK_LISTS",
        "ReplayStatus": "ferris_web.api.serializers.replays.REPLAY_STATUSES",
        "GatheringKind": "ferris_web.executions.models.KINDS",
        "GatheringState": "ferris_web.executions.models.GATHERING_STATES",
        "ChartKind": "ferris_web.api.serializers.charts.CHART_KINDS",
        "ChartSource": "ferris_web.api.serializers.charts.CHART_SOURCES",
        "ChartWidth": "ferris_web.api.serializers.charts.CHART_WIDTHS",
        "ChartPeriod": "ferris_web.api.serializers.charts.CHART_PERIODS",
        "ChartAggregate": "ferris_web.api.serializers.charts.CHART_AGGREGATES",
        "WebhookKind": "ferris_web.api.serializers.webhooks.WEBHOOK_KINDS",
        "WebhookOutcome": "ferris_web.api.serializers.webhooks.WEBHOOK_OUTCOMES",
        "SubscriptionForm": "ferris_web.api.serializers.subscriptions.SUBSCRIPTION_FORMS",
        "SubscriptionStatus": "ferris_web.api.serializers.subscriptions.SUBSCRIPTION_STATUSES",
        "DeliveryStatus": "ferris_web.api.serializers.subscriptions.DELIVERY_STATUSES",
        "NotificationKind": "ferris_web.api.serializers.notifications.NOTIFICATION_KINDS",
        "NotificationStatus": "ferris_web.api.serializers.notifications.NOTIFICATION_STATUSES",
        "SyncStatus": "ferris_web.api.serializers.projects.SYNC_STATUSES",
    },
}

LOGGING = log_lines.configuration(FERRIS)
