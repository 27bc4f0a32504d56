"""The line protocol of a peer, by which a benchmark takes turns between it and Frugal.

    peer     → {"ready": {…}}                     once, when all is built and warm
    benchmark→ run N                              or `run N WHAT` of the things that the peer can do
    peer     → {"seconds": …, …}                  after N repetitions
    benchmark→ quit                               (or the end of its output)

Between two runs a peer sleeps in a read, so it costs the other nothing.
"""

import ctypes
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def prepare(threads: int) -> None:
    """Before torch is imported: its thread pools read these once."""
    keep_freed_memory()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def keep_freed_memory() -> None:
    """glibc returns large blocks to the system and pays for them again page by page."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):
        pass  # another C library


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def say(value: dict) -> None:
    print(json.dumps(value), flush=True)


def serve(ready: dict, run: Callable[..., dict]) -> None:
    say({"ready": ready | {"processor": processor(), "python": platform.python_version()}})
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) not in (2, 3) or words[0] != "run" or not words[1].isdigit() or int(words[1]) < 1:
            say({"error": f"got {line.strip()!r}; expected 'run N', 'run N WHAT' or 'quit'"})
            continue
        try:
            say(run(int(words[1]), *words[2:]))
        except Exception as error:  # the benchmark must hear of it, whatever it is
            traceback.print_exc()
            say({"error": str(error)})
