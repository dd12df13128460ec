"""What the benchmark needs besides the project: peers in an environment of their own, a Redis, two programs in C."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = HERE / ".venv"
BUILD = HERE / ".build"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@dataclass(frozen=True)
class Missing:
    """A peer that is not there, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Peers:
    """The Python of each peer, or what is missing."""

    python: Path | Missing
    litellm: Path | Missing
    nchan: str | Missing
    """nginx's command."""
    node: Path | Missing
    """The folder of the peers' npm packages."""
    redis: str | Missing
    """The command of a Redis server; not a peer, but what lies between processes."""


def peers(*, install: bool = True) -> Peers:
    """All peers; those that are not there yet are installed, if ``install``."""
    return Peers(
        python=_environment(VENV, HERE / "requirements.txt", "the peers in Python", install),
        litellm=_environment(VENV / "litellm", HERE / "requirements-litellm.txt", "LiteLLM's proxy", install),
        nchan=_nchan(),
        node=_node(install),
        redis=_redis(),
    )


def _environment(folder: Path, requirements: Path, name: str, install: bool) -> Path | Missing:
    python, installed = folder / "bin/python", folder / f".{requirements.name}"
    if installed.exists() and installed.read_text() == requirements.read_text():
        return python
    if not install:
        return Missing(name, "not installed; `make bench` does that")
    print(f"installing {requirements.relative_to(ROOT)} …", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run([str(word) for word in pip], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr or "").strip().splitlines()
        return Missing(name, f"cannot be installed: {lines[-1] if lines else error}")
    installed.write_text(requirements.read_text())
    return python


def _nchan() -> str | Missing:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
    if nginx and NCHAN.exists():
        return nginx
    return Missing("nginx + nchan", "not installed (Debian: apt-get install libnginx-mod-nchan)")


def _node(install: bool) -> Path | Missing:
    name, folder = "resumable-stream on Node", VENV / "node"
    files = [HERE / "package.json", HERE / "package-lock.json"]
    if (folder / "node_modules").exists() and all(
        (folder / file.name).exists() and (folder / file.name).read_text() == file.read_text() for file in files
    ):
        return folder
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return Missing(name, "there is no Node.js with npm")
    if not install:
        return Missing(name, "not installed; `make bench` does that")
    print("installing bench/package.json …", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    try:
        subprocess.run([npm, "ci", "--silent"], cwd=folder, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder)
        return Missing(name, f"cannot be installed: {str(error.stderr or error).strip()[-300:]}")
    return folder


def _redis() -> str | Missing:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return found or Missing("Redis", "neither redis-server nor valkey-server is installed (Debian: redis-server)")


def program(name: str) -> Path:
    """A program of ``native/``, compiled if need be. Raises SystemExit where there is no compiler."""
    source, binary = HERE / "native" / f"{name}.c", BUILD / name
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("The load of the benchmark is written in C: install a compiler (Debian: apt-get install gcc).")
    BUILD.mkdir(exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", binary, source], check=True)
    return binary
