import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.reuse.settings")

from streaming.asgi import get_asgi_application

application = get_asgi_application()
