"""Bad networks between client and server: the text that arrives is exact."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.byte_proxy import ByteProxy
from tests.faults.client import ResilientReader
from tests.faults.frame_proxy import FrameFaults, FrameProxy
from tests.faults.wire import Crowd
from tests.frames import read_all
from tests.servers import Server

COUNT = 50
TEXT = "".join(f"{number} " for number in range(1, COUNT + 1))


@pytest.fixture
def stream(shared: Server, stream_id: str) -> dict[str, Any]:
    """The parameters that attach to a live stream of 50 numbers and a terminal event."""
    shared.begin(stream_id, f"/count {COUNT} 80")
    return {"user_id": "u1", "stream_id": stream_id}


def check(reader: ResilientReader, server: Server) -> None:
    """The reader has exactly what the log has."""
    assert reader.text == TEXT
    assert reader.frames[-1].type == "done"
    assert [frame.raw for frame in reader.frames] == [frame.raw for frame in read_all(server.url, **reader.parameters)]


def test_a_clean_network_needs_one_connection(shared: Server, stream: dict[str, Any]) -> None:
    with FrameProxy(shared.port) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert len(reader.connections) == 1


def test_50_ms_before_every_event_changes_nothing(shared: Server, stream: dict[str, Any]) -> None:
    with FrameProxy(shared.port, FrameFaults(delay=0.05)) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert len(reader.connections) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_text_is_exact_though_20_percent_of_the_frames_are_lost(
    shared: Server, stream: dict[str, Any], seed: int
) -> None:
    with FrameProxy(shared.port, FrameFaults(seed=seed, loss=0.2)) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert proxy.counts.lost > 0


@pytest.mark.parametrize("seed", range(3))
def test_repeated_and_reordered_frames_need_no_second_connection(
    shared: Server, stream: dict[str, Any], seed: int
) -> None:
    with FrameProxy(shared.port, FrameFaults(seed=seed, duplicates=0.3, reorder=0.3)) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert min(proxy.counts.repeated, proxy.counts.held_back, reader.sequencer.duplicates) > 0
    assert len(reader.connections) == 1


def test_loss_repetition_and_disorder_together_leave_the_text_exact(shared: Server, stream: dict[str, Any]) -> None:
    with FrameProxy(shared.port, FrameFaults(seed=11, loss=0.2, duplicates=0.2, reorder=0.2)) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert min(proxy.counts.lost, proxy.counts.repeated, proxy.counts.held_back) > 0


def test_after_a_cut_at_event_30_exactly_the_events_from_31_on_follow(shared: Server, stream: dict[str, Any]) -> None:
    with FrameProxy(shared.port, FrameFaults(cut_after_event=30)) as proxy:
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    first, second = reader.connections
    assert [frame.event_id for frame in first] == list(range(31))
    assert [frame.event_id for frame in second] == list(range(31, COUNT + 1))
    assert second[-1].type == "done"


def test_ten_resets_in_the_middle_of_frames_leave_the_text_exact(shared: Server, stream: dict[str, Any]) -> None:
    with ByteProxy(shared.port) as proxy:
        proxy.reset_after(*range(500, 1000, 50))
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert len(reader.connections) == 11


def test_ten_clean_cuts_in_the_middle_of_frames_leave_the_text_exact(shared: Server, stream: dict[str, Any]) -> None:
    with ByteProxy(shared.port) as proxy:
        proxy.cut_after(*range(500, 1000, 50))
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert len(reader.connections) == 11


def test_a_trickle_of_single_bytes_changes_nothing(shared: Server, stream: dict[str, Any]) -> None:
    with ByteProxy(shared.port) as proxy:
        proxy.trickle(1)
        reader = ResilientReader(proxy.url, stream).read()
    check(reader, shared)
    assert len(reader.connections) == 1


def test_a_network_that_stalls_and_goes_on_loses_nothing(shared: Server, stream: dict[str, Any], crowd: Crowd) -> None:
    with ByteProxy(shared.port) as proxy:
        stalled = crowd.read(proxy.url, **stream)
        crowd.wait_for_frames(5, stalled)
        proxy.stall()
        whole = read_all(shared.url, **stream)
        assert not stalled.closes
        proxy.go()
        crowd.wait_for_end(stalled)
    assert [frame.raw for frame in stalled.frames] == [frame.raw for frame in whole]
