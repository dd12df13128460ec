"""The project's settings with a web process that dies between a start's commit and its hand-over."""

from config.settings import *  # noqa: F403

REDIS_EVENT_LOG = {**REDIS_EVENT_LOG, "BACKEND": "tests.faults.dying_log.DyingLog"}  # noqa: F405
STREAM_EVENT_LOG = REDIS_EVENT_LOG
