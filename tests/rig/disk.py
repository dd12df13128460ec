"""A disk whose power can be cut: ext4 in a file. What has not reached the file by then is lost.

``kill -9`` proves nothing of that, because what a killed process has written is safe with the system.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

MEGABYTES = 2048
COMMIT_SECONDS = 600
"""So seldom the filesystem writes by itself what nobody has synced."""


class Disk:
    """Mounted at ``path``. Needs root. Nobody may have files open there when it is cut off or unmounted."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._image = folder / f"{name}.img"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(MEGABYTES * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        self._mount()

    def cut_power(self) -> None:
        """Come back with what had reached the disk, and nothing else."""
        remains = self._image.with_suffix(".cut")
        subprocess.run(["cp", "--sparse=always", self._image, remains], check=True)
        self.unmount()
        remains.replace(self._image)
        self._mount()

    def unmount(self) -> None:
        subprocess.run(["umount", self.path], check=True)

    def _mount(self) -> None:
        options = f"loop,commit={COMMIT_SECONDS}"
        subprocess.run(["mount", "-o", options, self._image, self.path], check=True)
