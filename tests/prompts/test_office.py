"""The shipped templates' Word documents, opened by LibreOffice."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from magic.library import shipped
from magic.rendering import OutputFormat, Renderer
from tests.databases import skip
from tests.prompts.samples import NAMES, full, least, render

NO_OFFICE = (
    "no soffice on this machine; install it (Debian: apt-get install --no-install-recommends libreoffice-writer)"
)
UNSAID = {"diff", "text", "other", "typescript"}
"""A fence names its language, and a document has no place for it."""


@pytest.mark.soak
def test_each_document_opens_in_libreoffice_with_all_its_words(renderer: Renderer, tmp_path: Path) -> None:
    """All in one process of it: most of its time is its start."""
    if (office := shutil.which("soffice")) is None:
        skip(NO_OFFICE)
    written = tmp_path / "written"
    written.mkdir()
    texts = {}
    for name in NAMES:
        for values in (least, full):
            definition = shipped()[name]
            path = written / f"{name}-{values.__name__}.docx"
            path.write_bytes(render(renderer, definition, values(definition), OutputFormat.DOCX).document)
            texts[path.stem] = render(renderer, definition, values(definition), OutputFormat.TEXT).prompt
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    convert = (str(office), profile, "--headless", "--convert-to", "txt:Text (encoded):UTF8", "--outdir", str(tmp_path))
    subprocess.run([*convert, *map(str, sorted(written.iterdir()))], check=True, timeout=240, capture_output=True)
    for stem, text in texts.items():
        opened = (tmp_path / f"{stem}.txt").read_text(encoding="utf-8-sig")
        assert {word for word in re.findall(r"\w{4,}", text) if word not in opened} <= UNSAID, stem
