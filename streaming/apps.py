import sys

from django.apps import AppConfig

from streaming import scoreboard

if sys.argv[1:2] == ["streamworker"]:
    scoreboard.join()  # before anything that counts is imported


class StreamingConfig(AppConfig):
    """Durable, resumable streaming of LLM answers."""

    name = "streaming"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from streaming import checks, deploy_checks  # noqa: F401
