"""The gateway: 100 answers of 500 deltas each from an OpenAI-wire upstream, each to a reader of its own.

Chunks a second a core: deltas delivered, by the seconds of processor time (user and system, all threads) that the
process under measurement used for it. Every process is warm: it has done the same work before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from bench.environment import Missing
from bench.load import post
from bench.processes import Process, free_port
from bench.results import OURS, Row
from bench.service import Service
from bench.setting import Setting
from bench.upstream import MODEL, Upstream, prompt

TITLE = "gateway, 100 streams × 500 chunks"
STREAMS, CHUNKS = 100, 500
LITELLM_CHUNKS = 200
"""It would take most of the time of the whole benchmark."""
HTTPX, SDK, LITELLM = "httpx alone", "OpenAI's SDK alone", "LiteLLM's proxy"
PER_CORE, WALL, FIRST = "chunks/s per core", "chunks/s", "first event, p50, ms"


@dataclass
class Gateway:
    """A server that speaks OpenAI's wire itself."""

    process: Process

    def requests(self, prompts: list[str]) -> list[bytes]:
        """As to OpenAI."""
        return [
            post(
                "/v1/chat/completions",
                {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]},
            )
            for text in prompts
        ]

    def measure(self, setting: Setting, row: Row, name: str, prompts: list[str], chunks: int) -> None:
        """All prompts at once."""
        before = self.process.cpu_seconds()
        requests = self.requests(prompts)
        seen = setting.load.requests(self.process, requests, at_once=len(requests)).complete()
        deltas = len(prompts) * chunks
        if seen.events < deltas:
            raise RuntimeError(f"{name}: {seen.events} events of {deltas}")
        row.add(name, PER_CORE, deltas / max(self.process.cpu_seconds() - before, 0.01))
        row.add(name, WALL, deltas / seen.seconds)
        if seen.first is not None:
            row.add(name, FIRST, seen.first.p50)


class Ours(Gateway):
    """The service: every delta through its log."""

    def requests(self, prompts: list[str]) -> list[bytes]:
        assert isinstance(self.process, Service)
        return [self.process.start_request(text, model=MODEL) for text in prompts]


@dataclass
class Reader:
    """A script that reads the upstream, and passes nothing on."""

    script: str
    base_url: str

    def measure(self, setting: Setting, row: Row, name: str, prompts: list[str], chunks: int) -> None:
        """As ``Gateway.measure``; it warms itself up."""
        printed = setting.run(self.script, self.base_url, given="\n".join(prompts))
        assert isinstance(printed, str)
        taken = json.loads(printed)
        if taken["deltas"] != len(prompts) * chunks:
            raise RuntimeError(f"{name}: {taken}")
        row.add(name, PER_CORE, taken["deltas"] / taken["cpu_s"])
        row.add(name, WALL, taken["deltas"] / taken["seconds"])


def measure(setting: Setting, row: Row) -> None:
    """The same upstream for all."""
    upstream = setting.upstream()
    contenders = dict(_contenders(setting, upstream, row))
    streams = 5 if setting.quick else STREAMS
    for name, contender in contenders.items():
        if isinstance(contender, Gateway):
            warm_up = [prompt(chunks=50, start=97 * number) for number in range(streams)]
            contender.measure(setting, Row("", "warm-up"), name, warm_up, 50)
    for round_number in range(setting.rounds):
        starts = [97 * (streams * round_number + number) for number in range(streams)]
        for name, contender in contenders.items():
            chunks = 50 if setting.quick else LITELLM_CHUNKS if name == LITELLM else CHUNKS
            prompts = [prompt(chunks=chunks, start=start) for start in starts]
            contender.measure(setting, row, name, prompts, chunks)


def judge(row: Row) -> None:
    """The targets."""
    ours = (OURS, PER_CORE)
    row.judge_ratio("≥ 0.15 × httpx alone (0.25 is the aim)", ours, (HTTPX, PER_CORE), at_least=0.15)
    row.judge_ratio("≥ the SDK alone", ours, (SDK, PER_CORE), at_least=1)
    row.judge_ratio("≥ 4 × LiteLLM's proxy", ours, (LITELLM, PER_CORE), at_least=4)


def _contenders(setting: Setting, upstream: Upstream, row: Row) -> Iterator[tuple[str, Gateway | Reader]]:
    yield OURS, Ours(setting.service(upstream=upstream))
    if isinstance(setting.peers.python, Missing):
        row.missing += [f"{name}: {setting.peers.python.reason}" for name in (HTTPX, SDK)]
    else:
        yield HTTPX, Reader("httpx_reader.py", upstream.base_url)
        if not setting.quick:
            yield SDK, Reader("sdk_reader.py", upstream.base_url)
    if setting.quick:
        return
    row.notes.append(f"{LITELLM}: {LITELLM_CHUNKS} chunks an answer, for the time that it takes")
    if isinstance(setting.peers.litellm, Missing):
        row.missing.append(str(setting.peers.litellm))
        return
    try:
        yield LITELLM, Gateway(litellm(setting, upstream))
    except RuntimeError as error:
        row.missing.append(f"{LITELLM}: does not start: {str(error)[-300:]}")


def litellm(setting: Setting, upstream: Upstream) -> Process:
    """LiteLLM's proxy in front of the upstream: one worker, no database, nothing sent anywhere else."""
    assert not isinstance(setting.peers.litellm, Missing)
    configuration = setting.folder / "litellm.yaml"
    configuration.write_text(LITELLM_YAML.format(model=MODEL, base_url=upstream.base_url))
    port = free_port()
    command = [
        *(str(setting.peers.litellm.parent / "litellm"), "--config", str(configuration)),
        *("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"),
    ]
    return setting.start(
        command,
        port,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_TELEMETRY="False",
        LITELLM_LOG="ERROR",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",  # one thing less for it to do
    )


LITELLM_YAML = """\
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{base_url}", api_key: sk-bench}}
litellm_settings: {{telemetry: false, set_verbose: false}}
general_settings: {{disable_spend_logs: true}}
"""
