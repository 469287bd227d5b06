"""Where a person looks after an alarm."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

from b24app.alarm import Kind


def place(kind: str, subject: str) -> str:
    """The address of the list or page behind an alarm; '' where it is about no row of ours."""
    log = reverse("admin:handlers_invocation_changelist")
    if kind in (Kind.PORTAL_TROUBLE, Kind.PORTAL_NO_ADMIN):
        return reverse("admin:portals_portal_change", args=[subject])
    if kind == Kind.STUCK:
        return f"{log}?{urlencode({'portal': subject, 'state': 'stuck'})}"
    if kind == Kind.ROBOT_FAILING:
        return f"{log}?{urlencode({'robot': subject, 'state': 'attention'})}"
    return f"{log}?state=open" if kind in (Kind.CALLS_LATE, Kind.RESULTS_LATE) else ""
