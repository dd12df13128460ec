"""A server together with its database: what tests of credentials need besides HTTP."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

from tests import databases
from tests.contract.wire import CANARY_KEY, Client, client
from tests.servers import ROOT, Server


@dataclass(frozen=True)
class Place:
    """A server on a SQLite database."""

    PASSWORD: ClassVar[str] = CANARY_KEY
    """Of everyone who may log in."""

    server: Server
    url: str

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` on the server's database."""
        environment = {**os.environ, "SECRET_KEY": "tests", "DATABASE_URL": self.url}
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def key(self, *options: str) -> str:
        """A new API key."""
        made = self.manage("create_api_key", "tests", *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def holder(self, key: str, **headers: str) -> Client:
        """Somebody who asks with an API key."""
        return client(self.server, Authorization=f"Bearer {key}", **headers)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement on the server's database."""
        with sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=10) as connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def new_user(self, name: str) -> None:
        """Somebody who may log in."""
        databases.manage(
            self.url,
            *("createsuperuser", "--noinput", f"--username={name}", "--email="),
            DJANGO_SUPERUSER_PASSWORD=self.PASSWORD,
        )

    def log_in(self, name: str, *cookies: str) -> Client:
        """Log in by Django's own view, in a browser that has these cookies already."""
        page = client(self.server).send("GET", "/admin/login/")
        csrf = (page.header("Set-Cookie") or "").split(";")[0]
        values = {"username": name, "password": self.PASSWORD, "csrfmiddlewaretoken": csrf.partition("=")[2]}
        login = client(self.server, Cookie="; ".join([csrf, *cookies])).form(values, path="/admin/login/?next=/health")
        assert login.status == 302, login.body
        given = [value.split(";")[0] for header, value in login.headers if header.lower() == "set-cookie"]
        return client(self.server, Cookie="; ".join([*given, *cookies]))

    def log_out(self, who: Client) -> None:
        """Log out by Django's own view."""
        csrf = re.search(r"csrftoken=([^;]+)", who.headers["Cookie"])
        assert csrf
        assert who.form({"csrfmiddlewaretoken": csrf[1]}, path="/admin/logout/").status == 200
