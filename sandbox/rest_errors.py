"""The errors that REST answers with, by the names of §4 and §5."""

from __future__ import annotations

from typing import Any


class RestFailure(Exception):
    """``{"error": code, "error_description": text}`` under a status; a code may be a number (§7)."""

    def __init__(self, code: str | int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.text}


def invalid(text: str) -> RestFailure:
    return RestFailure("ERROR_ACTIVITY_VALIDATION_FAILURE", text)


def denied(text: str = "Access denied!") -> RestFailure:
    return RestFailure("ACCESS_DENIED", text, 403)


def expired_token() -> RestFailure:
    return RestFailure("expired_token", "The access token provided has expired.", 401)


def no_auth() -> RestFailure:
    return RestFailure("NO_AUTH_FOUND", "Wrong authorization data", 401)


def method_not_found() -> RestFailure:
    return RestFailure("ERROR_METHOD_NOT_FOUND", "Method not found!", 404)


def argument(text: str) -> RestFailure:
    return RestFailure("ERROR_ARGUMENT", text)


COMMON: dict[str, tuple[str, str, int]] = {
    "503": ("QUERY_LIMIT_EXCEEDED", "Too many requests", 503),
    "429": ("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", 429),
    "500": ("INTERNAL_SERVER_ERROR", "Internal server error", 500),
}


def common(kind: str) -> RestFailure:
    code, text, status = COMMON[kind]
    return RestFailure(code, text, status)
