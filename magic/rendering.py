"""Rendering, bounded: jobs go to worker processes, which are killed where a job takes too long.

A thread can be given a time limit and not be stopped; a process can. Each thread of a small pool has a worker of its
own, started when it is first needed, kept for the next job, and replaced when it died, or when a job was too large:
what memory that left is nobody's to guess.
"""

from __future__ import annotations

import atexit
import base64
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from magic import documents
from magic.definitions import Definition
from magic.errors import TemplateFailed
from streaming.conf import settings
from streaming.errors import FieldError, InvalidRequest, Unavailable

WORKERS = 2
MOST_WAITING = 64
"""Jobs of one process, those that are being done among them; one more is refused with 503."""
CPU_SECONDS = 2.0
"""Processor time of one job: a hundred times what an ordinary one takes."""
JOB_SECONDS = 20.0
"""Wall time of one job: for what only waits, and on a machine that is too busy to give it the other."""
START_SECONDS = 60.0
RETRY_SECONDS = 2

ROOT = Path(__file__).resolve().parent.parent


class OutputFormat(StrEnum):
    """What a prompt is rendered as."""

    TEXT = "text"
    HTML = "html"
    DOCX = "docx"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    OutputFormat.TEXT: "text/plain; charset=utf-8",
    OutputFormat.HTML: "text/html; charset=utf-8",
    OutputFormat.DOCX: documents.CONTENT_TYPE,
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt, as it is sent to a model, and as a document of the format that was asked for."""

    prompt: str
    output_format: OutputFormat
    document: bytes


class Worker:
    """One worker process. Of one thread."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "magic.worker"],
            cwd=ROOT,
            env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._line(None, START_SECONDS) is None:
            self.close()
            raise Unavailable("Templates cannot be rendered just now; try again.", retry_after=RETRY_SECONDS)

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer to one job; None where it took too long, and the worker is dead."""
        return self._line(json.dumps({**job, "cpu_seconds": CPU_SECONDS}).encode() + b"\n", JOB_SECONDS)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process. Idempotent."""
        self._process.kill()
        with self._process:
            pass

    def _line(self, line: bytes | None, seconds: float) -> dict[str, Any] | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            if line is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            answered = self._process.stdout.readline()
        except OSError:
            return None
        finally:
            timer.cancel()
        found: dict[str, Any] | None = json.loads(answered) if answered.endswith(b"\n") else None
        return found


class Renderer:
    """A pool of workers. Safe to use from any thread; ``close`` is idempotent."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WORKERS, "render")
        self._own = threading.local()
        self._workers: set[Worker] = set()
        self._waiting = 0
        self._lock = threading.Lock()

    def render(
        self, definition: Definition, values: Mapping[str, Any], output_format: OutputFormat
    ) -> Future[Rendered]:
        """A prompt of checked values.

        The future raises TemplateFailed, or InvalidRequest where the prompt would be longer than one may be. Raises
        Unavailable where too many wait.
        """
        job = {
            "render": definition.body,
            "values": values,
            "most_chars": settings.STREAM_MAX_MESSAGE_CHARS,
            "format": output_format.value,
            "title": definition.title,
        }
        return self._submit(lambda: _rendered(self._ask(job), output_format))

    def check(self, body: str, names: list[str]) -> None:
        """Raises TemplateFailed where a body cannot be compiled, or uses a name that is none of ``names``."""
        self._submit(lambda: _refuse_faults(self._ask({"check": body, "names": names}))).result()

    def close(self) -> None:
        """End the workers, once what they do is done."""
        self._threads.shutdown()
        while self._workers:
            self._workers.pop().close()

    def _submit(self, work: Any) -> Future[Any]:
        with self._lock:
            if self._waiting >= MOST_WAITING:
                raise Unavailable("Too many templates are being rendered; try again.", retry_after=RETRY_SECONDS)
            self._waiting += 1
        try:
            future: Future[Any] = self._threads.submit(work)
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any] | None) -> None:
        with self._lock:
            self._waiting -= 1

    def _ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """In a thread of the pool."""
        worker: Worker | None = getattr(self._own, "worker", None)
        if worker is None or not worker.is_alive:
            worker = self._replace(worker)
        answered = worker.ask(job)
        if answered is None or answered.get("fault") == "too_large":
            self._replace(worker, start=False)
        if answered is None:
            return {"fault": "too_slow", "reason": "it takes too long, or more memory than there is"}
        return answered

    def _replace(self, worker: Worker | None, *, start: bool = True) -> Any:
        if worker is not None:
            self._workers.discard(worker)
            worker.close()
        self._own.worker = Worker() if start else None
        if start:
            self._workers.add(self._own.worker)
        return self._own.worker


def _rendered(answered: dict[str, Any], output_format: OutputFormat) -> Rendered:
    if answered.get("fault") == "too_large":
        most = settings.STREAM_MAX_MESSAGE_CHARS
        raise InvalidRequest(FieldError("inputs", f"make a prompt of more than {most} characters"))
    _refuse_faults(answered)
    text = answered["text"]
    if not text.strip():
        raise TemplateFailed("This template makes an empty prompt of these inputs.")
    document = answered["document"]
    if output_format is OutputFormat.DOCX:
        return Rendered(text, output_format, base64.b64decode(document))
    return Rendered(text, output_format, (text if document is None else document).encode())


def _refuse_faults(answered: dict[str, Any]) -> None:
    fault, reason = answered.get("fault"), answered.get("reason", "")
    if fault == "too_slow":
        raise TemplateFailed("This template takes too long to render.", reason)
    if fault is not None:
        raise TemplateFailed("This template cannot be rendered; its author has to mend it.", reason)


renderer = Renderer()
"""That of this process. It costs nothing until it is used."""

atexit.register(renderer.close)
