"""The machines of the rig: network namespaces on one bridge, or all of them the loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

BRIDGE = "magic-rig"
SUBNET = "10.231.0"
OUTSIDE = f"{SUBNET}.1"
"""Where the clients and the provider are, whom no partition reaches."""


@dataclass(frozen=True)
class Host:
    """A machine: its address, and what a command begins with that is to run there."""

    name: str
    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


class Network:
    """Hosts that are namespaces of this machine, and what may happen between them. Needs root; one at a time."""

    def __init__(self, *names: str) -> None:
        self.hosts = [
            Host(name, f"{SUBNET}.{number}", ("ip", "netns", "exec", _space(name)))
            for number, name in enumerate(names, 11)
        ]

    def __enter__(self) -> Self:
        self._remove()
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for number, host in enumerate(self.hosts):
            space, wire = _space(host.name), f"{BRIDGE}-{number}"
            _ip("netns", "add", space)
            _ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", wire, "master", BRIDGE, "up")
            _ip("-n", space, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", space, "link", "set", device, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def cut(
        self, host: Host, peer: Host, port: int | None = None, ways: Sequence[str] = ("in", "out"), percent: int = 100
    ) -> None:
        """Drop what ``host`` hears (in) and says (out) of ``peer``: all of it, or so much, or what is of its port."""
        rules = []
        for way in ways:
            end = "s" if way == "in" else "d"
            matches = [f"ip {end}addr {peer.address}"]
            if port is not None:
                matches.append(f"tcp {end}port {port}")
            if percent < 100:
                matches.append(f"numgen random mod 100 < {percent}")
            hook = "input" if way == "in" else "output"
            rule = f"type filter hook {hook} priority 0;\n{' '.join(matches)} drop"
            rules.append(f"chain {way} {{\n{rule}\n}}")
        table = "\n".join(["table inet rig {", *rules, "}", ""])
        subprocess.run([*host.enter, "nft", "-f", "-"], input=table, text=True, check=True)

    def heal(self, host: Host) -> None:
        """Undo what ``cut`` did to this host."""
        subprocess.run([*host.enter, "nft", "delete", "table", "inet", "rig"], check=True)

    def reset(self, host: Host, *which: str) -> None:
        """Reset the TCP connections that a filter of ``ss`` selects, e.g. ``dst 10.231.0.14``."""
        subprocess.run([*host.enter, "ss", "--tcp", "--kill", *which], check=True, capture_output=True)

    def _remove(self) -> None:
        """What an earlier run left behind, or this one made."""
        for host in self.hosts:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", _space(host.name))
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", BRIDGE)


def _space(name: str) -> str:
    return f"{BRIDGE}-{name}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
