from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HandlersConfig(AppConfig):
    name = "handlers"
    verbose_name = _("Calls")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Portals knows no other room: what its pages show of this one is handed to it here.
        from handlers import drain, portal_panels
        from portals import crypto, wake

        portal_panels.append()
        crypto.encrypted_columns.append(("handlers", "ReceivedCall", "event_token"))
        # Not in a command's or a test's own process: the thread runs where calls or wakes come in.
        wake.idle_hooks.append(drain.tend)
