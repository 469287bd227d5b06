"""People of each shipped group, signed in, and the pages an admin has."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

GROUPS = ("auditors", "operators", "integrators")


def make_groups() -> None:
    """As the migration made them; a transactional test before this one may have emptied the tables."""
    import_module("handlers.migrations.0002_groups").make_groups(apps, None)


def signed_in(group: str) -> Client:
    """A client of somebody of that group; "superuser" and "stranger" (staff, no group) too."""
    make_groups()
    user = User.objects.create_user(
        f"of-{group}", password="x", is_staff=True, is_superuser=group == "superuser"
    )
    if group in GROUPS:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client
