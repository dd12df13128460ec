"""What a server runs: ``daphne config.asgi:application``, or ``uvicorn config.asgi:application``."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from streaming.asgi import get_asgi_application

application = get_asgi_application()
