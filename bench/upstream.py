"""The model API that gateways are measured with: ``native/upstream``, on the load's core, with text that varies."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench.environment import ROOT, program
from bench.processes import Process, environment, free_port

MODEL = "gpt-4o-mini"
KEY = "sk-bench"
TOKEN = re.compile(r" ?[A-Za-z]{1,8}| ?[0-9]{1,3}| ?[^\sA-Za-z0-9]{1,3}|\s+")
"""About what a tokenizer makes of English: four characters."""


def tokens() -> list[str]:
    """The project's own documentation, cut into tokens."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [token for page in pages for token in TOKEN.findall(page.read_text())]


def prompt(**script: int) -> str:
    """The message that makes the upstream answer so; see ``native/upstream.c``."""
    return "bench: " + " ".join(f"{name}={value}" for name, value in script.items())


class Upstream(Process):
    """Speaks OpenAI's wire at ``base_url``."""

    def __init__(self, core: int, folder: Path) -> None:
        text = folder / "tokens.txt"
        text.write_text("".join(json.dumps(token)[1:-1] + "\n" for token in tokens()))
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}/v1"
        super().__init__(
            [program("upstream"), str(port), text],
            core=core,
            port=port,
            log=folder / "upstream.log",
            env=environment(),
            cwd=ROOT,
        )
