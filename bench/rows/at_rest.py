"""At rest: bytes of the database for each token of 1,000-token answers, everything counted, beside zlib of the text.

The same every time, so measured once: pages in use, less those of an empty database, by the tokens of all answers.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing

from bench.results import OURS, Row
from bench.service import SEALED_AT_ONCE, Service
from bench.setting import Setting
from bench.upstream import MODEL, prompt, tokens

TITLE = "at rest, 1,000-token answers"
ANSWERS, TOKENS = 200, 1000
ZLIB = "the text alone, zlib"
TEXT = "the text alone"
BYTES = "bytes a token"


def measure(setting: Setting, row: Row) -> None:
    """Rows, indexes and records."""
    service = setting.service(upstream=setting.upstream(), **SEALED_AT_ONCE)
    answers = 5 if setting.quick else ANSWERS
    empty = _bytes_in_use(service)
    starts = [7 * 997 * number for number in range(answers)]
    requests = [service.start_request(prompt(chunks=TOKENS, start=start), model=MODEL) for start in starts]
    setting.load.requests(service, requests, at_once=10).complete()
    service.wait_until_sealed()
    row.add(OURS, BYTES, (_bytes_in_use(service) - empty) / (answers * TOKENS))
    said = tokens()
    texts = ["".join(said[(start + k) % len(said)] for k in range(TOKENS)).encode() for start in starts]
    row.add(ZLIB, BYTES, sum(len(zlib.compress(text, 9)) for text in texts) / (answers * TOKENS))
    row.add(TEXT, BYTES, sum(map(len, texts)) / (answers * TOKENS))


def judge(row: Row) -> None:
    """The target."""
    row.judge("≤ 5 bytes a token", row.values(OURS, BYTES), at_most=5)


def _bytes_in_use(service: Service) -> int:
    with closing(sqlite3.connect(service.database)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
