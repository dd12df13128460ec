from django.apps import AppConfig


class StreamingConfig(AppConfig):
    """Durable, resumable streaming of LLM answers."""

    name = "streaming"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from streaming import checks, deploy_checks  # noqa: F401
