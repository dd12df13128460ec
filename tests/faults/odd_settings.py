"""The project's settings with a provider that fails in odd ways."""

from config.settings import *  # noqa: F403

STREAM_PROVIDERS = ("tests.faults.odd_provider.OddProvider", "streaming.providers.demo.DemoProvider")
