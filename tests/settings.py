"""Settings of tests: those of the product, with an environment of their own.

`DATABASE_URL` and `CELERY_BROKER_URL` decide what the tests run on; the Makefile sets them.
"""

import os

os.environ.setdefault("SECRET_KEY", "test-secret-key-that-is-long-enough-for-the-deploy-check-0123456789")
os.environ.setdefault("ENCRYPTION_KEYS", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
os.environ.setdefault("PUBLIC_URL", "http://127.0.0.1:8000")
os.environ.setdefault("DATABASE_URL", "sqlite:///var/test.sqlite3")
os.environ.setdefault("B24_ALLOW_HTTP", "on")
os.environ.setdefault("B24_OAUTH_URLS", "http://127.0.0.1:8999/oauth-west,http://127.0.0.1:8999/oauth-ru")

from b24app.settings import *  # noqa: F403  (the product's settings, after the environment is set)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A file, not memory: threads and processes of one test must meet in it.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405  (from the star import)
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}  # noqa: F405  (same)
