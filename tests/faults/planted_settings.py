"""The project's settings with a bug for each promise; see ``planted``."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as INSTALLED

INSTALLED_APPS = [*INSTALLED, "tests.faults.planted_app.Planted"]
