"""How the router's process keeps its memory. Called once by `__main__`, when everything that stays has been made.

What a request makes goes with its end, so the collector, which looks for rings, need not look often. And by default glibc gives
the top of the heap back to the kernel whenever 128 KiB of it are free, which a prompt of 100 KB does with every copy of it, and gets the
pages back, zeroed, for the next: a quarter of what such a request costs.
"""

import ctypes
import gc
from typing import Final

_COLLECT_AFTER: Final = (20_000, 20, 50)
"""Allocations, and then collections of the younger generation, between two collections."""
_MALLOC_OPTIONS: Final = (
    (-1, 4 * 2**20),  # M_TRIM_THRESHOLD: free bytes at the top of the heap before they are given back
    (-2, 2**20),  # M_TOP_PAD: bytes that the heap grows by at least
    (
        -3,
        2 * 2**20,
    ),  # M_MMAP_THRESHOLD: from this size on a block has pages of its own, gone when it is freed
    (-8, 1),  # M_ARENA_MAX: the few threads beside the loop share its heap instead of holding one each
)


def settle_memory() -> None:
    """Keep what was made so far for good, and keep a few free megabytes for the next requests. Harmless where libc is another."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    libc = ctypes.CDLL(None)
    mallopt, trim = getattr(libc, "mallopt", None), getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)  # what starting needed, above all where modules had to be compiled
    if mallopt is not None:
        for option, value in _MALLOC_OPTIONS:
            mallopt(option, value)
