"""The page as its visitor uses it, and what has to hold of it at the end of every journey."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, Request

from tests.upstream import Upstream

WAIT_MS = 30_000
ENDS = ("done", "cancelled", "error")

# Every state that an answer of this page was in, oldest first.
RECORD_STATES = """
window.states = [];
new MutationObserver((changes) => {
  for (const { target } of changes) {
    const { state } = target.dataset;
    if (state && target.matches(".answer") && state !== window.states.at(-1)) window.states.push(state);
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-state"] });
"""


@dataclass
class Chat:
    """One tab."""

    page: Page
    url: str

    def open(self) -> Chat:
        """Go to the page."""
        self.page.add_init_script(RECORD_STATES)
        self.page.goto(f"{self.url}/magic")
        return self

    def ask(self, message: str | dict[str, Any]) -> str:
        """Send a message; the ``stream_id`` under which it was sent."""
        text = message if isinstance(message, str) else json.dumps(message)
        with self.page.expect_request(
            lambda request: request.method == "POST" and request.url.endswith("/stream")
        ) as sent:
            self.page.get_by_label("Message", exact=True).fill(text)
            self.page.get_by_label("Message", exact=True).press("Enter")
        stream_id: str = (sent.value.post_data_json or {})["stream_id"]
        return stream_id

    @property
    def text(self) -> str:
        """The newest answer's words."""
        return words(self.page.locator(".answer .text").last.text_content() or "")

    def wait_for_text(self, text: str) -> None:
        """Until the newest answer holds it."""
        self.page.locator(".answer .text").last.filter(has_text=text).wait_for(timeout=WAIT_MS)

    def wait_for_state(self, *states: str, timeout_ms: float = WAIT_MS) -> None:
        """Until the newest answer is in one of these states."""
        wanted = ", ".join(f'.answer:last-child[data-state="{state}"]' for state in states)
        self.page.locator(wanted).wait_for(timeout=timeout_ms)

    def wait_until_told(self, sentence: str) -> None:
        """Until the status line says so."""
        self.page.locator("#status", has_text=sentence).wait_for(timeout=WAIT_MS, state="attached")

    def snapshot(self, stream_id: str) -> dict[str, Any]:
        """What the server says to this visitor."""
        answer = self.page.request.get(f"{self.url}/api/v1/streams/{stream_id}")
        assert answer.status == 200, answer.text()
        snapshot: dict[str, Any] = answer.json()
        return snapshot

    @property
    def states(self) -> list[str]:
        """Those that answers were in since the page was loaded, oldest first."""
        states: list[str] = self.page.evaluate("window.states")
        return states

    def check(self, stream_id: str, upstream: Upstream, timeout_ms: float = WAIT_MS) -> dict[str, Any]:
        """At the end: the server's text, one terminal state, and one call of the provider. Its snapshot."""
        self.wait_for_state(*ENDS, timeout_ms=timeout_ms)
        snapshot = self.snapshot(stream_id)
        assert self.text == words(snapshot["text"])
        states = self.states
        assert [state for state in states if state in ENDS] == states[-1:] == [snapshot["status"]], states
        assert [call.message for call in upstream.calls].count(snapshot["message"]) == 1
        return snapshot


def is_a_start(request: Request) -> bool:
    """Whether a request asks something."""
    return request.method == "POST" and request.url.endswith("/api/v1/stream")


def words(text: str) -> str:
    """A text without what a page may lay out otherwise."""
    return " ".join(text.split())


def counted(last: int) -> str:
    """What ``/count`` and a counting script say."""
    return " ".join(map(str, range(1, last + 1)))
