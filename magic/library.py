"""The templates that can be used, and how a row comes to be what it is. Synchronous."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from magic.definitions import NAME, Definition, parse_definition
from magic.errors import TemplateNotFound
from magic.models import PromptTemplate, TemplateVersion

FOLDER = Path(__file__).resolve().parent / "prompts"


def usable() -> list[Definition]:
    """The templates that are offered, by title."""
    return [row.definition for row in PromptTemplate.objects.filter(enabled=True).order_by("title", "name")]


def find(name: str) -> Definition:
    """Raises TemplateNotFound for one that is not offered."""
    row = PromptTemplate.objects.filter(enabled=True, name=name).first() if NAME.fullmatch(name) else None
    if row is None:
        raise TemplateNotFound
    return row.definition


@cache
def shipped() -> dict[str, Definition]:
    """The templates that come with this version of the app, by name."""
    found = (parse_definition(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml")))
    return {definition.name: definition for definition in found}


def load_shipped() -> list[str]:
    """Take the shipped templates into the database; answers the names of those that are new or newer.

    What somebody changed stays as it is, and so does one that is disabled, and a shipped file that is older than
    what is there: during a deploy the old version's ``migrate`` may run last. ``take_shipped`` is for people.
    """
    with transaction.atomic():
        known = {row.name: row for row in PromptTemplate.objects.select_for_update().order_by("pk")}
        return [name for name, definition in shipped().items() if _take_if_newer(known.get(name), definition)]


def load_after_migrate(apps: Any, using: str, **options: Any) -> None:
    """As ``load_shipped``; not where ``migrate`` ends at tables that are not those of this version."""
    try:
        fields = {field.name for field in apps.get_model("magic", "PromptTemplate")._meta.get_fields()}
    except LookupError:
        return
    if using == DEFAULT_DB_ALIAS and fields == {field.name for field in PromptTemplate._meta.get_fields()}:
        load_shipped()


def has_newer(row: PromptTemplate) -> bool:
    """Whether a newer version was shipped than the one that this row began as."""
    file = shipped().get(row.name)
    return file is not None and row.shipped_version is not None and file.version > row.shipped_version


def take_shipped(row: PromptTemplate) -> None:
    """Make a template what is shipped, whatever became of it. Raises KeyError where none of the name is shipped."""
    _take(row, shipped()[row.name])


@transaction.atomic
def save(row: PromptTemplate, origin: TemplateVersion.Origin, least_version: int = 1) -> None:
    """Save a new or changed template as its next version."""
    if row.pk is not None:
        kept = PromptTemplate.objects.select_for_update().filter(pk=row.pk).values_list("version", flat=True).first()
        row.version = max((kept or 0) + 1, least_version)
    else:
        row.version = least_version
    row.save()
    TemplateVersion.objects.create(
        template=row, version=row.version, content=row.definition.model_dump(mode="json"), origin=origin
    )


def assign(row: PromptTemplate, definition: Definition) -> None:
    """Give a row the content of a definition; the version is for ``save`` to set."""
    content: dict[str, Any] = definition.model_dump(mode="json", exclude={"version"})
    for name, value in content.items():
        setattr(row, name, value)


def _take_if_newer(row: PromptTemplate | None, definition: Definition) -> bool:
    if row is not None and not _is_outdated(row, definition):
        return False
    _take(row or PromptTemplate(), definition)
    return True


def _is_outdated(row: PromptTemplate, definition: Definition) -> bool:
    return row.shipped_version is not None and definition.version > row.shipped_version and not row.is_changed


def _take(row: PromptTemplate, definition: Definition) -> None:
    assign(row, definition)
    row.shipped_version, row.shipped_digest = definition.version, definition.digest
    save(row, TemplateVersion.Origin.SHIPPED, least_version=definition.version)
