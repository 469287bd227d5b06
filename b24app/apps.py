from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "b24app"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Registers the numbered system checks.
        from b24app import checks  # noqa: F401  (imported for its registrations)
