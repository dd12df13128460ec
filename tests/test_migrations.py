"""Two versions beside each other on one database: migrations only add, and what an older version writes is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.conformance.conftest import connected_to

OLDEST = {"streaming": "0005_sealing", "magic": "0001_templates"}
"""The state of the oldest version that may run beside a newer one. What comes after it only adds."""

HARMLESS = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
)
WITHOUT_COLUMN = ("choices", "help_text", "verbose_name", "db_default")
"""What a field may change without narrowing what its column takes."""


def later_migrations(loader: MigrationLoader) -> list[Migration]:
    """The migrations after ``OLDEST``."""
    found = sorted(loader.disk_migrations.items())
    return [migration for (app, name), migration in found if app in OLDEST and name > OLDEST[app]]


def breaches(migration: Migration, before: ProjectState) -> Iterator[str]:
    """The operations that a version before this migration does not bear; what is made here is nobody's yet.

    A migration that has to break it says ``breaks_older_versions = "why"``, and the changelog says it too.
    """
    if getattr(migration, "breaks_older_versions", ""):
        return
    made: set[str] = set()
    state = before.clone()
    for operation in migration.operations:
        name = getattr(operation, "model_name_lower", "")
        if isinstance(operation, operations.CreateModel):
            made.add(operation.name_lower)
        elif name not in made and (why := breach(operation, state, migration.app_label)):
            yield f"{migration.app_label}.{migration.name}: {operation.describe()}: {why}"
        operation.state_forwards(migration.app_label, state)


def breach(operation: Operation, state: ProjectState, app: str) -> str | None:
    """Why an older version does not bear an operation; None where it does."""
    match operation:
        case operations.AddField(field=field):
            return None if _may_be_left_out(field) else "rows of older versions lack it: null, or db_default"
        case operations.AlterField(model_name_lower=model, name=name, field=field):
            return None if _takes_as_much(state.models[app, model].fields[name], field) else "narrows what is taken"
        case _ if isinstance(operation, HARMLESS):
            return None
    return "is not known to only add"


def _may_be_left_out(field: models.Field[Any, Any]) -> bool:
    return field.many_to_many or field.null or (field.has_db_default() and not field.unique)


def _takes_as_much(old: models.Field[Any, Any], new: models.Field[Any, Any]) -> bool:
    _, old_path, old_args, old_options = old.deconstruct()
    _, new_path, new_args, new_options = new.deconstruct()
    for options in (old_options, new_options):
        for option in WITHOUT_COLUMN:
            options.pop(option, None)
    grown = (new_options.pop("max_length", None) or 0) >= (old_options.pop("max_length", None) or 0)
    return grown and (old_path, old_args, old_options) == (new_path, new_args, new_options)


def test_later_migrations_only_add() -> None:
    loader = MigrationLoader(None)
    found = [
        why
        for migration in later_migrations(loader)
        for why in breaches(migration, loader.project_state((migration.app_label, migration.name), at_end=False))
    ]
    assert found == []


class Breaking(Migration):
    operations = [  # noqa: RUF012  # as Django has it
        operations.RemoveField("stream", "address"),
        operations.RenameField("stream", "message", "prompt"),
        operations.AddField("stream", "colour", models.CharField(max_length=8, default="red")),
        operations.AddField("stream", "twin", models.CharField(max_length=8, db_default="", unique=True)),
        operations.AlterField("stream", "stream_id", models.CharField(max_length=64)),
        operations.AlterField("stream", "system", models.TextField()),
        operations.AddConstraint("stream", models.UniqueConstraint(fields=["request_id"], name="asked_once")),
        operations.DeleteModel("Allowance"),
        operations.RunSQL("DELETE FROM streaming_stream"),
    ]


class Adding(Migration):
    operations = [  # noqa: RUF012  # as Django has it
        operations.CreateModel("Colour", [("id", models.BigAutoField(primary_key=True))]),
        operations.AddField("colour", "name", models.TextField(default="red")),
        operations.AddField("stream", "colour", models.CharField(max_length=8, default="red", db_default="red")),
        operations.AddField("stream", "shade", models.CharField(max_length=8, null=True)),
        operations.AlterField("stream", "stream_id", models.CharField(max_length=256)),
        operations.AddIndex("stream", models.Index(fields=["shade"], name="stream_by_shade")),
    ]


def test_what_would_break_an_older_version_is_found_unless_it_says_so() -> None:
    before = MigrationLoader(None).project_state(("streaming", OLDEST["streaming"]))
    assert len(list(breaches(Breaking("0999_breaking", "streaming"), before))) == len(Breaking.operations)
    assert list(breaches(Adding("0999_adding", "streaming"), before)) == []
    said = type("Said", (Breaking,), {"breaks_older_versions": "a column goes"})
    assert list(breaches(said("0999_said", "streaming"), before)) == []


def test_rows_of_an_older_version_are_taken(database_url: str, django_db_blocker: pytest.FixtureRequest) -> None:
    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        apps = MigrationLoader(connection).project_state(list(OLDEST.items())).apps
        made: dict[type[models.Model], models.Model] = {}
        for model in apps.get_models():
            if model._meta.app_label in OLDEST:
                make(model, made)
        assert {model.__name__ for model in made} >= {"Process", "Stream", "StreamHead", "StreamEvent", "CostRecord"}


def make(model: type[models.Model], made: dict[type[models.Model], models.Model]) -> models.Model:
    """One row of a model as it was, with whatever it needs."""
    if model not in made:
        fields = (field for field in model._meta.local_concrete_fields if field.column)
        values = {field.name: _value(field, made) for field in fields if not _fills_itself(field)}
        made[model] = model._default_manager.create(**values)
    return made[model]


def _fills_itself(field: models.Field[Any, Any]) -> bool:
    return field.null or field.has_default() or isinstance(field, models.AutoField)


def _value(field: models.Field[Any, Any], made: dict[type[models.Model], models.Model]) -> Any:
    match field:
        case models.ForeignKey():
            return make(field.related_model, made)
        case models.DateTimeField():
            return datetime.now(UTC)
        case models.DateField():
            return datetime.now(UTC).date()
        case models.BinaryField():
            return b"x"
        case models.CharField() | models.TextField():
            return "x"
    return 1
