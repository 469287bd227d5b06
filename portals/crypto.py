"""Secrets at rest: one Fernet key list, one field, one keyed hash.

`ENCRYPTION_KEYS` is a list: the first key encrypts, every key decrypts. A new one is added at the end, moved to the
front once every process knows it, and followed by `rotate_encryption_keys`. Nothing here ties a secret to
`SECRET_KEY`, which may be changed at any time to end all sessions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class SecretUnreadable(Exception):
    """No key of ENCRYPTION_KEYS opens a stored secret. Put the key that wrote it back into the list."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret can't be read with any key of ENCRYPTION_KEYS."
            " Add the key that encrypted it back."
        )


def fernet_key(text: str) -> bytes:
    """A Fernet key as it is, or one derived from a passphrase of 32 characters and more.

    Raises ValueError (without the text) where it is neither.
    """
    try:
        if len(base64.urlsafe_b64decode(text.encode())) == 32:
            return text.encode()
    except (binascii.Error, ValueError):
        pass
    if len(text) < 32:
        raise ValueError("each key must be a Fernet key or a passphrase of at least 32 characters")
    return base64.urlsafe_b64encode(hashlib.sha256(b"b24-encryption:" + text.encode()).digest())


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(fernet_key(key)) for key in keys])


def ring() -> MultiFernet:
    """The keys in force; a cheap look-up, so that tests may change the setting."""
    return _ring(tuple(settings.ENCRYPTION_KEYS))


def encrypt(data: bytes) -> bytes:
    """Encrypted with the first key."""
    return ring().encrypt(data)


def decrypt(data: bytes) -> bytes:
    """Decrypted with whichever key fits. Raises SecretUnreadable."""
    try:
        return ring().decrypt(bytes(data))
    except InvalidToken:
        raise SecretUnreadable from None


def rotate(data: bytes) -> bytes:
    """The same secret under the first key. Raises SecretUnreadable."""
    try:
        return ring().rotate(bytes(data))
    except InvalidToken:
        raise SecretUnreadable from None


def is_first_keys(data: bytes) -> bool:
    """Whether a secret is under the first key already."""
    first = tuple(settings.ENCRYPTION_KEYS[:1])
    try:
        _ring(first).decrypt(bytes(data))
    except InvalidToken:
        return False
    return True


def keyed_hashes(text: str) -> list[bytes]:
    """HMAC-SHA256 of the text (32 bytes) under each key of ENCRYPTION_KEYS, the first key's first.

    What is written carries the first; what is read may match any, so a key can be changed.
    """
    data = text.encode("utf-8", "surrogatepass")
    return [hmac.digest(key, data, "sha256") for key in _hash_keys(tuple(settings.ENCRYPTION_KEYS))]


def keyed_hash(text: str) -> bytes:
    """What is written of a secret that must only be recognised again (32 bytes)."""
    data = text.encode("utf-8", "surrogatepass")
    return hmac.digest(_hash_keys(tuple(settings.ENCRYPTION_KEYS))[0], data, "sha256")


def token_hash(token: str) -> bytes:
    """By which a token server's one-time token is recognised again (32 bytes), whatever becomes of our keys.

    No key goes into it: such a token is long and random, so its hash tells nobody what it was, and a hash under
    a key that was changed since would have the token used twice.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@lru_cache(maxsize=4)
def _hash_keys(keys: tuple[str, ...]) -> list[bytes]:
    return [b"b24-hash:" + fernet_key(key) for key in keys]


class _Sealed(bytes):
    """A secret as the database holds it, not opened yet."""


class _Opening(DeferredAttribute):
    """Opens a secret when it is read, not with its row: a row that no key opens can be listed, counted, and told of.
    To read it raises SecretUnreadable."""

    field: models.Field

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is None or not isinstance(value, _Sealed):
            return value
        instance.__dict__[self.field.attname] = opened = decrypt(value).decode()
        return opened

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


def is_set(instance: models.Model, name: str) -> bool:
    """Whether a secret of the row is stored; it is not opened, so a page that asks for a new one can be shown."""
    return bool(instance.__dict__[name])


def opened(instance: models.Model, name: str) -> str:
    """A secret of the row, '' where no key opens it: for who is about to replace it, or compares it with what is
    told, which nothing unreadable equals."""
    try:
        return str(getattr(instance, name))
    except SecretUnreadable:
        return ""


class EncryptedTextField(models.Field):
    """Text in Python, a Fernet token in the database; '' is stored as nothing at all.

    It can't be looked up by value (every encryption differs), shows nothing in the admin and is not editable
    by a plain form. `values()` gives what is stored.
    """

    description = "Encrypted text"
    descriptor_class = _Opening

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", "")
        kwargs.setdefault("blank", True)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def get_internal_type(self) -> str:
        return "BinaryField"

    def from_db_value(
        self, value: bytes | memoryview | None, expression: Any, connection: Any
    ) -> _Sealed | str:
        return _Sealed(value) if value else ""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """What was not opened is stored as it was."""
        return model_instance.__dict__[self.attname]

    def to_python(self, value: Any) -> Any:
        return value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if not isinstance(value, _Sealed):
            value = encrypt(value.encode()) if value else b""
        return connection.Database.Binary(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Serialised for `dumpdata`: encrypted, so that a fixture is no leak."""
        value: Any = self.value_from_object(obj)
        return base64.b64encode(encrypt(value.encode())).decode() if value else ""

    def get_lookup(self, lookup_name: str) -> Any:
        raise TypeError(f"{self.name} is encrypted and can't be looked up by value")


# Encrypted columns that are no EncryptedTextField: (app label, model, field holding bytes). Rooms append
# theirs in `AppConfig.ready`, so that `rotate_encryption_keys` finds them.
encrypted_columns: list[tuple[str, str, str]] = []
