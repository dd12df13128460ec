"""Rows written without the ORM's compiler, which takes more time than the database does. Synchronous.

The values are the model's own: its fields make of them what the database takes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection, models


def insert(row: models.Model, *, unless_there: bool = False) -> bool:
    """Insert a row with all its columns, and give it its key; no signal is sent.

    ``unless_there``: where a unique constraint has a row like it already, nothing is done, and the answer is False.
    """
    fields, statement = _statement(type(row), connection.vendor, unless_there)
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        inserted = cursor.fetchone()
    if inserted is None:
        return False
    row.pk = inserted[0]
    row._state.adding = False
    return True


@cache
def _statement(model: type[models.Model], vendor: str, unless_there: bool) -> tuple[list[models.Field[Any, Any]], str]:
    """The fields in the order of the statement. The key is among them where it is not the database's to make."""
    options, quote = model._meta, connection.ops.quote_name
    fields = [field for field in options.concrete_fields if not isinstance(field, models.AutoField)]
    columns = ", ".join(quote(str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    conflict = " ON CONFLICT DO NOTHING" if unless_there else ""
    key = quote(str(options.pk.column))
    return fields, f"INSERT INTO {quote(options.db_table)} ({columns}) VALUES ({places}){conflict} RETURNING {key}"
