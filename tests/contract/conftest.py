"""The hub with a real sandbox beside it, as the handlers' tests have it."""

from __future__ import annotations

from tests.handlers.conftest import control, fresh_process, make_rig, portal, rig, version

__all__ = ["control", "fresh_process", "make_rig", "portal", "rig", "version"]
