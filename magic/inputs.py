"""The typed inputs of a template, as they are declared. Pure; ``values`` checks what is put in.

==============  ===============================================================  ==============================
type            value                                                            validators
==============  ===============================================================  ==============================
``string``      one line, at most 500 characters unless ``max_length`` says so   min_length, max_length, pattern
``text``        lines, at most ``STREAM_MAX_MESSAGE_CHARS`` characters           min_length, max_length, pattern
``int``         a whole number of at most 15 digits                              min, max
``float``       a finite number                                                  min, max
``bool``        true or false
``date``        ``YYYY-MM-DD``                                                   min, max
``enum``        one of ``enum``
``multi-enum``  some of ``enum``, each once                                      min_items, max_items
``email``       an address
``url``         of http or https
==============  ===============================================================  ==============================

Numbers, booleans and dates may be spelled as strings, as a form sends them. What is left out or null is the default;
an empty string or list is nothing.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator
from pydantic_core import SchemaError


class InputType(StrEnum):
    """What kind of value an input takes."""

    STRING = "string"
    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DATE = "date"
    ENUM = "enum"
    MULTI_ENUM = "multi-enum"
    EMAIL = "email"
    URL = "url"


class Validators(BaseModel):
    """Further rules of one input; ``min`` and ``max`` of a date are dates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int | float | date | None = None
    max: int | float | date | None = None
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    min_items: Annotated[int, Field(ge=0)] | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
    pattern: Annotated[str, Field(max_length=500)] | None = None
    """A regular expression for the whole value, without look-around: it is matched in linear time."""

    @property
    def given(self) -> set[str]:
        """The names of the rules that there are."""
        return set(self.model_dump(exclude_none=True))


_LENGTHS = frozenset({"min_length", "max_length", "pattern"})
_BOUNDS = frozenset({"min", "max"})
_ALLOWED: dict[InputType, frozenset[str]] = {
    InputType.STRING: _LENGTHS,
    InputType.TEXT: _LENGTHS,
    InputType.INT: _BOUNDS,
    InputType.FLOAT: _BOUNDS,
    InputType.DATE: _BOUNDS,
    InputType.MULTI_ENUM: frozenset({"min_items", "max_items"}),
}


class Input(BaseModel):
    """One input of a template, as declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    label: Annotated[str, Field(min_length=1, max_length=100)]
    type: InputType
    required: bool = False
    default: Any = None
    help: Annotated[str, Field(max_length=500)] = ""
    enum: Annotated[tuple[str, ...], Field(max_length=100)] | None = None
    validators: Validators = Validators()

    @model_validator(mode="after")
    def _declared_rightly(self) -> Input:
        if (self.enum is not None) != (self.type in {InputType.ENUM, InputType.MULTI_ENUM}):
            raise ValueError(f"{self.id}: enum and multi-enum need an enum, the other types have none")
        if self.enum is not None and (not all(self.enum) or len(set(self.enum)) != len(self.enum)):
            raise ValueError(f"{self.id}: the choices of enum are not empty, and each is there once")
        if misplaced := self.validators.given - _ALLOWED.get(self.type, frozenset()):
            raise ValueError(f"{self.id}: {self.type} has no validator {', '.join(sorted(misplaced))}")
        for bound in (self.validators.min, self.validators.max):
            if bound is not None and isinstance(bound, date) != (self.type is InputType.DATE):
                raise ValueError(f"{self.id}: min and max are of the input's type")
        if self.validators.pattern is not None:
            pattern_of(self.validators.pattern)
        return self


@lru_cache(maxsize=256)
def pattern_of(pattern: str) -> TypeAdapter[str]:
    """Pydantic's engine, which never backtracks. Raises ValueError for what is no regular expression of it."""
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=f"^(?:{pattern})$")])
    except SchemaError:
        raise ValueError(f"pattern: {pattern} is not a regular expression that can be matched in linear time") from None
