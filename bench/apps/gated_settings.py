"""The service's settings, with the gated demo provider."""

from config.settings import *  # noqa: F403

STREAM_PROVIDERS = ("bench.apps.gated_demo.GatedDemoProvider",)
