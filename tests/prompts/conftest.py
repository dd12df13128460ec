"""The workers that render, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from magic.rendering import Renderer


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    """Workers of these tests' own, ended with them."""
    own = Renderer()
    yield own
    own.close()
