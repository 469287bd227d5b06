from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HubConfig(AppConfig):
    name = "b24app"
    verbose_name = _("Programs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Registers the admin's page of API tokens, and the numbered system checks.
        from b24app import admin_people, admin_tokens, checks  # noqa: F401  (imported for their registrations)
