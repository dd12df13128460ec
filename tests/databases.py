"""Databases of the tests: an empty, migrated one for each test, by copy of a template made once a run."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
NO_POSTGRES = (
    "no PostgreSQL answers at TEST_POSTGRES_URL; install it (Debian: apt-get install postgresql), start it, and "
    "set TEST_POSTGRES_URL=postgres://user@host:port/postgres if it is not on 127.0.0.1:5432 with user postgres"
)


def manage(url: str, *arguments: str, **env: str) -> None:
    """Run ``manage.py`` on a database."""
    environment = {**os.environ, "SECRET_KEY": "tests", "DATABASE_URL": url, **env}
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True)


def skip(reason: str) -> None:
    """Skip for a missing part; where nothing may be skipped, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class SQLite:
    """A template file, and copies of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.sqlite3"
        manage(f"sqlite:///{self._template}", "migrate", "--verbosity=0")
        with sqlite3.connect(self._template) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def new(self) -> str:
        """The URL of a new database."""
        path = self._folder / f"{uuid.uuid4().hex}.sqlite3"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"

    def discard(self, url: str) -> None:
        """Nobody needs this database any more; its file goes with the folder."""


class PostgreSQL:
    """A template database, and copies of it; all are dropped at the end.

    A drop waits for the disk, so those that are discarded before go beside the tests that follow.
    """

    def __init__(self) -> None:
        self._made: list[str] = []
        self._dropper = ThreadPoolExecutor(1)
        self._template = self._create("template0")
        manage(self._url(self._template), "migrate", "--verbosity=0")

    def new(self) -> str:
        """The URL of a new database."""
        return self._url(self._create(self._template))

    def discard(self, url: str) -> None:
        """Nobody needs this database any more: drop it in the background."""
        self._dropper.submit(self._drop, url.rpartition("/")[2])

    def drop(self) -> None:
        """Drop all that was made."""
        self._dropper.shutdown()
        for name in self._made[::-1]:
            self._drop(name)

    def _create(self, template: str) -> str:
        name = f"magic_test_{uuid.uuid4().hex}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.append(name)
        return name

    def _drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.remove(name)

    @staticmethod
    def _url(name: str) -> str:
        return POSTGRES_URL.rsplit("/", 1)[0] + "/" + name

    @staticmethod
    def _execute(statement: str) -> None:
        with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
            connection.execute(statement.encode())


def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL with a template, or a skip that says what to install."""
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg.OperationalError:
        skip(NO_POSTGRES)
    databases = PostgreSQL()
    try:
        yield databases
    finally:
        databases.drop()
