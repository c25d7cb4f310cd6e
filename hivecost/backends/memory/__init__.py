"""A runtime log and a ledger in the memory of one process: it keeps the events, and every answer is a fold of them."""

from hivecost.backends.memory.backend import MemoryBackend, memory_backend
from hivecost.backends.memory.log import MemoryLog
from hivecost.backends.memory.writer import MemoryWriter

__all__ = ["MemoryBackend", "MemoryLog", "MemoryWriter", "memory_backend"]
