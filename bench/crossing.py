"""Who brings an answer from one process to the reader of another: the service, and what is compared with it."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import uuid4

from bench.cluster import start_cluster
from bench.environment import Missing
from bench.load import get
from bench.processes import Process
from bench.setting import Setting
from bench.upstream import MODEL, Upstream

BARE, NODE = "XADD, XREAD BLOCK → bare ASGI", "resumable-stream, Node"


@dataclass
class Crossing:
    """``begin`` starts an answer to a prompt, and has the request that reads it from ``reading``, another process."""

    reading: Process
    begin: Callable[[str], bytes]


def ours(setting: Setting, upstream: Upstream, *, webs: int, workers: int) -> Crossing | Missing:
    """Without workers the first web process produces; the last one is read from."""
    cluster = start_cluster(setting, upstream, webs=webs, workers=workers)
    if isinstance(cluster, Missing):
        return cluster
    return Crossing(cluster.last, lambda prompt: cluster.last.read_request(cluster.begin(prompt)))


def bare(setting: Setting, upstream: Upstream) -> Crossing | Missing:
    """Redis and two processes of ``apps/bare_redis.py``."""
    redis = setting.redis()
    if isinstance(redis, Missing):
        return redis
    env = {"REDIS_URL": redis.url, "UPSTREAM": upstream.base_url, "MODEL": MODEL}
    producing, reading = (setting.own("bare_redis:application", **env) for _ in range(2))
    return Crossing(reading, lambda prompt: get("/read", {"key": _begin(producing, "/begin", "key", prompt)}))


def node(setting: Setting, upstream: Upstream) -> Crossing | Missing:
    """Redis and two processes of ``apps/resumable_stream.cjs``."""
    redis = setting.redis()
    if isinstance(redis, Missing):
        return redis
    env = {"REDIS_URL": redis.url, "UPSTREAM": upstream.base_url, "MODEL": MODEL}
    producing, reading = (setting.node("resumable_stream.cjs", **env) for _ in range(2))
    if isinstance(producing, Missing) or isinstance(reading, Missing):
        return Missing(NODE, str(producing))
    return Crossing(reading, lambda prompt: get("/resume", {"id": _begin(producing, "/start", "id", prompt), "at": 0}))


def _begin(process: Process, path: str, name: str, prompt: str) -> str:
    key = uuid4().hex
    asked = urlencode({name: key, "prompt": prompt})
    urllib.request.urlopen(f"http://127.0.0.1:{process.port}{path}?{asked}", timeout=10).read()
    return key
