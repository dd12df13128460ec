"""What ``make run`` says before it serves, and the admin login that it makes the first time."""

from __future__ import annotations

import secrets
from io import StringIO
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from magic import examples
from streaming.conf import settings
from streaming.models import Stream

LOGIN = "admin"

ADDRESSES = """
Magic on {url}
  {url}/magic      the page
  {url}/admin/     the admin; {admin}
  {url}/api/docs   the API
  {url}/health     is it alive
"""

OPEN = """
Start an answer, end the command before the answer ends, and run the second one for the rest:
  curl -N --max-time 3 '{url}/api/v1/stream?user_id=me&stream_id={stream_id}&message=/count+100+10'
  curl -N '{url}/api/v1/stream?user_id=me&stream_id={stream_id}&last_event_id=20'
"""

BY_SESSION = """
Requests need a session (STREAM_OPEN_ACCESS is off). Open one, and ask:
  curl -c cookies -X POST {url}/api/v1/anon_session
  curl -N -b cookies '{url}/api/v1/stream?stream_id={stream_id}&message=/count+100+10'
"""


EXAMPLES = """
The admin has two weeks of example streams, all of them the issuer's "example". To remove them:
  .venv/bin/python manage.py example_history --remove"""


class Command(BaseCommand):
    help = "Make the admin login where there is none, and print where everything is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("port", type=int)

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        is_new = not Stream.objects.exists() and not get_user_model()._default_manager.exists()
        facts = {"url": f"http://127.0.0.1:{port}", "stream_id": f"try-{secrets.token_hex(3)}", "admin": admin_login()}
        for text in (ADDRESSES, OPEN if settings.STREAM_OPEN_ACCESS else BY_SESSION):
            self.stdout.write(text.format(**facts))
        if is_new:
            call_command("example_history", verbosity=0, stdout=StringIO())
        if examples.exist():
            self.stdout.write(EXAMPLES)
        self.stdout.write("\nCtrl-C ends it.")


@transaction.atomic
def admin_login() -> str:
    """How to log in to the admin. Makes the login where there is no superuser; its password is told only now."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return "the login is as before (forgotten? .venv/bin/python manage.py changepassword admin)"
    if users.filter(**{users.model.USERNAME_FIELD: LOGIN}).exists():
        return "no superuser yet: .venv/bin/python manage.py createsuperuser"
    password = secrets.token_urlsafe(12)
    users.create_superuser(LOGIN, password=password)
    return f"user {LOGIN}, password {password} (shown only this once)"
