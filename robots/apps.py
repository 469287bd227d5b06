from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RobotsConfig(AppConfig):
    name = "robots"
    verbose_name = _("Robots")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Portals knows no other room: what its pages show of this one is handed to it here.
        from robots import portal_panels

        portal_panels.append()
