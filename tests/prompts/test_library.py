"""Shipped templates come with ``migrate``; what an admin made of them stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from magic import library
from magic.definitions import Definition
from magic.errors import TemplateNotFound
from magic.models import PromptTemplate, TemplateVersion
from tests.commands import run
from tests.conformance.conftest import connected_to
from tests.faults.records import Records

EDITED = TemplateVersion.Origin.EDITED


@pytest.fixture
def database(database_url: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A new database of each kind, for this process."""
    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        yield


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, Definition]:
    """The shipped templates, for a test to change."""
    changed = dict(library.shipped())
    monkeypatch.setattr(library, "shipped", lambda: changed)
    return changed


def row(name: str = "summary") -> PromptTemplate:
    return PromptTemplate.objects.get(name=name)


def ship(files: dict[str, Definition], version: int, body: str, name: str = "summary") -> None:
    files[name] = files[name].model_copy(update={"version": version, "body": body})


def edit(body: str) -> PromptTemplate:
    edited = row()
    edited.body = body
    library.save(edited, EDITED)
    return edited


def test_all_are_there_after_migrate_as_they_were_shipped(database: None) -> None:
    assert {each.name: each for each in library.usable()} == library.shipped()
    assert TemplateVersion.objects.count() == len(library.shipped())
    assert library.load_shipped() == [], "a second time changes nothing"


def test_a_newer_version_replaces_what_nobody_changed(database: None, files: dict[str, Definition]) -> None:
    ship(files, 2, "new {{ text }}")
    assert library.load_shipped() == ["summary"]
    assert library.find("summary") == files["summary"]
    assert [each.version for each in row().versions.all()] == [2, 1]


def test_an_older_version_replaces_nothing(database: None, files: dict[str, Definition]) -> None:
    ship(files, 3, "new {{ text }}")
    library.load_shipped()
    ship(files, 2, "old {{ text }}")
    assert library.load_shipped() == []
    assert row().body == "new {{ text }}"


def test_what_was_changed_stays_and_can_be_given_up(database: None, files: dict[str, Definition]) -> None:
    assert edit("mine {{ text }}").version == 2
    ship(files, 2, "new {{ text }}")
    assert library.load_shipped() == []
    assert (row().body, row().is_changed, library.has_newer(row())) == ("mine {{ text }}", True, True)
    library.take_shipped(row())
    assert (row().body, row().version, row().is_changed) == ("new {{ text }}", 3, False)
    assert [each.content["body"] for each in row().versions.all()][:2] == ["new {{ text }}", "mine {{ text }}"]
    ship(files, 3, "newer {{ text }}")
    assert library.load_shipped() == ["summary"]
    assert (row().body, row().version) == ("newer {{ text }}", 4)


def test_what_was_disabled_stays_so(database: None, files: dict[str, Definition]) -> None:
    PromptTemplate.objects.filter(name="summary").update(enabled=False)
    ship(files, 2, "new {{ text }}")
    library.load_shipped()
    assert not row().enabled
    with pytest.raises(TemplateNotFound):
        library.find("summary")
    assert "summary" not in {each.name for each in library.usable()}


def test_one_of_the_same_name_that_was_made_here_stays(database: None, files: dict[str, Definition]) -> None:
    own = PromptTemplate()
    library.assign(own, files["summary"].model_copy(update={"name": "own", "body": "mine"}))
    library.save(own, EDITED)
    files["own"] = files["summary"].model_copy(update={"name": "own", "version": 9})
    assert library.load_shipped() == []
    assert row("own").body == "mine"


def test_migrate_loads_them_and_can_go_back(database_url: str) -> None:
    records = Records(database_url)
    records.rows("UPDATE magic_prompttemplate SET body = 'mine' WHERE name = 'summary'")
    records.rows("DELETE FROM magic_templateversion")
    records.rows("DELETE FROM magic_prompttemplate WHERE name = 'explain'")
    assert run(database_url, "migrate", "--verbosity=0").returncode == 0
    found = {each["name"]: each["body"] for each in records.rows("SELECT name, body FROM magic_prompttemplate")}
    assert found["summary"] == "mine" and found["explain"] == library.shipped()["explain"].body
    assert run(database_url, "migrate", "magic", "zero").returncode == 0
    assert run(database_url, "migrate", "--verbosity=0").returncode == 0
    [count] = records.rows("SELECT count(*) AS n FROM magic_prompttemplate")
    assert count["n"] == len(library.shipped())
