"""What the page's answer says besides the page, and what of npm's packages is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient, override_settings

from magic import libraries

pytestmark = pytest.mark.asyncio


async def test_the_policy_lets_nothing_in_from_elsewhere_and_no_inline_script_or_style() -> None:
    answer = await AsyncClient().get("/magic")
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["font-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_the_page_has_no_inline_script_or_style() -> None:
    page = (await AsyncClient().get("/magic")).content.decode()
    assert "<style" not in page and " style=" not in page and " onclick=" not in page
    assert page.count("<script") == page.count("<script src=") + page.count('<script type="module" src=')


async def test_a_visitors_identity_comes_with_the_page_in_a_cookie_no_script_reads() -> None:
    client = AsyncClient()
    cookie = (await client.get("/magic")).cookies["magic_identity"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert "magic_identity" not in (await client.get("/magic")).cookies


async def test_only_the_named_files_of_the_packages_are_served(tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "streaming-markdown"
    package.mkdir(parents=True)
    for name in ("smd.min.js", "package.json"):
        (package / name).write_text("x")
    with override_settings(BASE_DIR=tmp_path):
        finder = libraries.LibraryFinder()
        assert [name for name, _ in finder.list(None)] == ["magic/vendor/smd.js"]
        assert finder.find("magic/vendor/smd.js") == str(package / "smd.min.js")
        assert finder.find("magic/vendor/package.json") == finder.find("streaming-markdown/package.json") == []
        assert libraries.url_of("magic/vendor/smd.js") == "/static/magic/vendor/smd.js"
        assert libraries.url_of("magic/vendor/highlight.js") == ""
    assert finders.find("magic/vendor/package.json") is None


async def test_without_the_packages_the_page_names_none(tmp_path: Path) -> None:
    with override_settings(BASE_DIR=tmp_path):
        page = (await AsyncClient().get("/magic")).content.decode()
    assert 'data-markdown=""' in page and 'data-highlighting=""' in page and "inter" not in page
