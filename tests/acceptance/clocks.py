"""Set the clock of a single process while it runs."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("settable_clock.c")


class SettableClock:
    """The environment with which a process starts, so that its clock can be set."""

    def __init__(self, directory: Path) -> None:
        if not (compiler := shutil.which("cc")):
            if os.environ.get("CI"):
                pytest.fail("a C compiler must not be missing in CI", pytrace=False)
            pytest.skip("there is no C compiler")
        library, self._file = directory / "clock.so", directory / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
        self._file.write_bytes(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": str(library), "SETTABLE_CLOCK": str(self._file)}

    def set_ahead(self, seconds: int) -> None:
        """Set the clock some seconds ahead of the true time, at once."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
