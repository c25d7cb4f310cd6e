"""A runtime log in one SQLite file, `hivecost.db` in a folder."""

from hivecost.backends.sqlite.reading import SQLiteLogReader

__all__ = ["SQLiteLogReader"]
