"""The process that renders: one job a line on its standard input, one answer a line on its standard output.

Started by ``rendering``, without the environment of the server: no key, no database. The system bounds what one job
takes; what is beyond that ends the process, and the next job gets another one.

===============================================  ==================================================
job                                              answer
===============================================  ==================================================
``{"check": body, "names": [...]}``              ``{}``
``{"render": body, "values", "most_chars",       ``{"text": prompt, "document": HTML, or base64
"format", "title"}``                             of a docx, or null}``
either, with ``"cpu_seconds"``                   ``{"fault": "bad", "too_large" or "failed",
                                                 "reason": a sentence}``
===============================================  ==================================================
"""

from __future__ import annotations

import base64
import json
import signal
import sys
from typing import Any

from magic import documents, markdown, sandbox

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MEMORY_BYTES = 512 * 1024 * 1024
MAX_REASON_CHARS = 300


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; the answer."""
    if "check" in job:
        sandbox.check(job["check"], job["names"])
        return {}
    text = sandbox.render(job["render"], job["values"], job["most_chars"])
    return {"text": text, "document": _document(text, job)}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """As ``work``; what goes wrong is part of the answer."""
    try:
        return work(job)
    except sandbox.BadTemplate as error:
        return _fault("bad", str(error))
    except (sandbox.TooLarge, MemoryError, OverflowError):
        return _fault("too_large", "it makes more than a prompt can hold")
    except Exception as error:
        return _fault("failed", f"{type(error).__name__}: {error}")


def main() -> None:
    """Serve until standard input ends."""
    _limit_process()
    _say({"ready": True})
    for line in sys.stdin.buffer:
        job = json.loads(line)
        _limit_job(job["cpu_seconds"])
        _say(answer(job))


def _document(text: str, job: dict[str, Any]) -> str | None:
    if job["format"] == "html":
        return markdown.html_of(text)
    if job["format"] == "docx":
        return base64.b64encode(documents.docx_of(text, job["title"])).decode()
    return None


def _fault(kind: str, reason: str) -> dict[str, str]:
    return {"fault": kind, "reason": reason[:MAX_REASON_CHARS]}


def _say(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _limit_process() -> None:
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_job(cpu_seconds: float) -> None:
    """Processor time from now on: beyond it the system ends this process, also where nobody waits for it any more."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


if __name__ == "__main__":
    main()
