"""The service over several processes: web processes, workers, one database, and a Redis with the live streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.environment import Missing
from bench.redis import Redis
from bench.service import Service, Worker
from bench.setting import Setting
from bench.upstream import MODEL, Upstream


@dataclass
class Cluster:
    """Streams are started at the first web process; whoever is to read elsewhere takes the last."""

    redis: Redis
    webs: list[Service]
    workers: list[Worker]
    env: dict[str, str]
    """What its processes are told besides what every service is."""

    @property
    def first(self) -> Service:
        return self.webs[0]

    @property
    def last(self) -> Service:
        return self.webs[-1]

    def begin(self, prompt: str) -> str:
        """Start a stream that is produced before this returns; its id."""
        stream = self.first.begin(prompt, model=MODEL)
        self.first.wait_for_event(stream, 0)
        return stream


def start_cluster(
    setting: Setting, upstream: Upstream, *, webs: int = 1, workers: int = 1, env: Mapping[str, str] | None = None
) -> Cluster | Missing:
    """All of it on the measured core; without workers the web processes produce what they start."""
    redis = setting.redis()
    if isinstance(redis, Missing):
        return redis
    env = {"REDIS_URL": redis.url, "STREAM_PRODUCERS": "workers" if workers else "inline", **(env or {})}
    first = setting.service(upstream=upstream, **env)
    others = [setting.service(upstream=upstream, database=first.database, **env) for _ in range(webs - 1)]
    return Cluster(redis, [first, *others], [setting.worker(first) for _ in range(workers)], env)
