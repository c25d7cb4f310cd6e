"""A runtime log in the memory of one process, for tests: it keeps the events, and every answer is a fold of them."""

from hivecost.backends.memory.log import MemoryLog, memory_log

__all__ = ["MemoryLog", "memory_log"]
