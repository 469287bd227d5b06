from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HandlersConfig(AppConfig):
    name = "handlers"
    verbose_name = _("Calls")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Portals knows no other room: what its pages show of this one is handed to it here.
        from handlers import portal_panels

        portal_panels.append()
