"""Settings, all from the environment; docs/operations.md is their table."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from b24app import env, logs

env.load()

BASE_DIR = env.root()
VAR_DIR = BASE_DIR / "var"

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.secret("SECRET_KEY", DEBUG)
ENCRYPTION_KEYS = env.encryption_keys(DEBUG)
PUBLIC_URL = env.public_url(DEBUG, "http://127.0.0.1:8000")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = env.comma_list("ALLOWED_HOSTS") or [_public.hostname or "", "localhost", "127.0.0.1", "[::1]"]
# Addresses (or networks) of the proxy in front, whose X-Forwarded-For and -Proto are believed.
TRUSTED_PROXY = env.comma_list("TRUSTED_PROXY")

B24_OAUTH_URLS = [
    env.url("B24_OAUTH_URLS", value)
    for value in env.comma_list("B24_OAUTH_URLS", "https://oauth.bitrix.info,https://oauth.bitrix24.tech")
]
B24_ALLOW_HTTP = env.flag("B24_ALLOW_HTTP")
B24_JS_URL = env.text("B24_JS_URL", "//api.bitrix24.com/api/v1/")
for _server in B24_OAUTH_URLS:
    if urlsplit(_server).scheme == "http" and not (
        B24_ALLOW_HTTP and env.is_loopback(urlsplit(_server).hostname or "")
    ):
        raise ImproperlyConfigured(
            f"B24_OAUTH_URLS: {_server} is not https. http is for loopback addresses and needs B24_ALLOW_HTTP=on."
        )

ROBOT_APPS = env.apps("ROBOT_APPS")
ROBOT_TIME_LIMIT = env.number("ROBOT_TIME_LIMIT", 60, 1, 3600)
ROBOT_MEMORY_MB = env.number("ROBOT_MEMORY_MB", 512, 64, 65536)
WORKER_CONCURRENCY = env.number("WORKER_CONCURRENCY", max(6, 3 * (os.cpu_count() or 1)), 1, 1000)
# Threads of a web process; pages together hold at most half of them, the rest is for calls (design §2 rule 9).
WEB_THREADS = env.number("WEB_THREADS", 16, 2, 256)
SPOOL_DIR = BASE_DIR / env.text("SPOOL_DIR", "var/spool")
SPOOL_MAX_MB = env.number("SPOOL_MAX_MB", 1024, 1, 1_000_000)
METRICS_TOKEN = env.private("METRICS_TOKEN")
# Requests a second and burst that one portal account is given (contract §4; Enterprise: 5 and 250).
BUCKET_RATE = env.number("BUCKET_RATE", 2, 1, 50)
BUCKET_BURST = env.number("BUCKET_BURST", 50, 1, 1000)
# A hook of tests: moves the database clock as the hub reads it.
CLOCK_OFFSET_SECONDS = env.number("CLOCK_OFFSET_SECONDS", 0, -(10**9), 10**9)
INVOCATION_KEEP_DAYS = env.number("INVOCATION_KEEP_DAYS", 180, 1, 36500)

INSTALLED_APPS = [
    "b24app.site.HubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "simple_history",
    "portals",
    "robots",
    "handlers",
    "b24app.apps.HubConfig",
    *ROBOT_APPS,
]

MIDDLEWARE = [
    # First of all: a handler call goes to its view before sessions, auth and locale (design §2).
    "b24app.lean.LeanPath",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "b24app.urls"
WSGI_APPLICATION = "b24app.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "b24app" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.database(DEBUG)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [BASE_DIR / "b24app" / "locale"]
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
# WhiteNoise warns of a missing folder; nobody has to make one by hand.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# Served from the apps' own folders, so that nobody has to run collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

_https = _public.scheme == "https"
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "hub_session"
CSRF_COOKIE_NAME = "hub_csrf"
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY else None
X_FRAME_OPTIONS = "DENY"
# A form above this is refused before it is read (design §3).
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

REST_FRAMEWORK = {
    # The token first: who is not known is answered 401 and told how to say who he is.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "b24app.api_tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissions"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Robot hub audit API",
    "DESCRIPTION": "Read-only: applications, portals, robots, versions, registrations and calls.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["b24app.api.only_api"],
    # Several models have a state; each set of values has a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "CallState": "handlers.models.State",
        "PortalState": "portals.models.Portal.State",
        "GuessSource": "portals.models.Portal.Source",
        "RobotKind": "robots.models.Kind",
    },
}

CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL")
CELERY_WORKER_CONCURRENCY = WORKER_CONCURRENCY

# Who is told when something is wrong and lasts (b24app/alarms.py).
ALARM_EMAILS = env.comma_list("ALARM_EMAILS")
_webhook = env.private("ALARM_WEBHOOK_URL")
ALARM_WEBHOOK_URL = env.url("ALARM_WEBHOOK_URL", _webhook) if _webhook else ""
_mail = env.private("EMAIL_URL")
vars().update(env.mail(_mail))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", f"robot-hub@{_public.hostname}")
if ALARM_EMAILS and not _mail and not env.runner():
    raise ImproperlyConfigured(
        "ALARM_EMAILS is set and EMAIL_URL is not: set it to smtp://user:password@host:587."
    )

# What a robot's runner is started without (robots/runner_environment.py).
RUNNER_WITHOUT = sorted(env.PRIVATE)

LOGGING = logs.config(DEBUG)
LOGGING_CONFIG = "logging.config.dictConfig"

SILENCED_SYSTEM_CHECKS: list[str] = []
