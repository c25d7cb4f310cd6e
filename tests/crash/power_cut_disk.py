"""A disk whose power goes at a given change: what is left of the changes that were not synced is a matter of chance.

A change that was not synced is there, gone, torn at a 512-byte sector, or only the file's new size is there. So is
the name of a file that was made or deleted, until its folder is synced. The order of changes means nothing.
"""

from __future__ import annotations

import os

SECTOR_BYTES = 512


class File:
    """What is surely on the disk, and what may be: (offset, data) written, or (size, None) truncated."""

    def __init__(self, synced=b""):
        self.synced = bytearray(synced)
        self.unsynced = []

    def sync(self):
        for change in self.unsynced:
            apply(self.synced, *change)
        self.unsynced.clear()

    def after_cut(self, chance, keeps):
        content = bytearray(self.synced)
        for where, data in self.unsynced:
            if chance.random() < keeps:
                apply(content, where, data)
            elif data is not None:
                apply_partly(content, where, data, chance)
        return bytes(content)


def apply(content, where, data):
    if data is None:
        del content[where:]
    else:
        content.extend(bytes(max(0, where - len(content))))
        content[where : where + len(data)] = data


def apply_partly(content, where, data, chance):
    fate = chance.choice(["gone", "torn", "only its size"])
    if fate == "torn":
        first_border = where - where % SECTOR_BYTES + SECTOR_BYTES
        borders = range(first_border, where + len(data), SECTOR_BYTES)
        apply(content, where, data[: chance.choice(borders) - where] if borders else b"")
    elif fate == "only its size":
        content.extend(bytes(max(0, where + len(data) - len(content))))


class Disk:
    """The files of one folder, as SQLite's file system layer changes them. `left` is set when the power goes.

    Programs do not notice: they run on, and what they do from then on is not on the disk.
    """

    def __init__(self, folder, chance, *, changes_max):
        self.folder = folder
        #: What the cut left: content by name; None while there is power.
        self.left = None
        self._chance = chance
        self._changes_left = changes_max
        self._files = {path.name: File(path.read_bytes()) for path in folder.iterdir() if path.is_file()}
        self._synced_names = dict(self._files)
        self._unsynced_names = []

    def open(self, path):
        """The file; made, if it is not there."""
        name = os.path.basename(path)  # noqa: PTH119  # SQLite has a text for it
        if name not in self._files:
            self._rename(name, File())
        return self._files[name]

    def write(self, file, offset, data):
        self._spend()
        file.unsynced.append((offset, bytes(data)))

    def truncate(self, file, size):
        self._spend()
        file.unsynced.append((size, None))

    def sync(self, file, *, with_folder):
        self._spend()
        file.sync()
        if with_folder:
            self._sync_folder()

    def delete(self, path, *, with_folder):
        self._spend()
        self._rename(os.path.basename(path), None)  # noqa: PTH119
        if with_folder:
            self._sync_folder()

    def cut(self):
        """The power goes now, if it has not gone before."""
        if self.left is None:
            keeps = self._chance.choice([0.0, 0.2, 0.5, 0.8, 1.0])
            files = dict(self._synced_names)
            for name, file in self._unsynced_names:
                if self._chance.random() < 0.5:
                    files[name] = file
            self.left = {name: file.after_cut(self._chance, keeps) for name, file in files.items() if file}

    def save(self, folder):
        """Make a folder of what is left."""
        folder.mkdir()
        for name, content in self.left.items():
            (folder / name).write_bytes(content)

    def _spend(self):
        """Counts a change that is about to be made."""
        self._changes_left -= 1
        if self._changes_left < 0:
            self.cut()

    def _rename(self, name, file):
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
        self._unsynced_names.append((name, file))

    def _sync_folder(self):
        self._synced_names = dict(self._files)
        self._unsynced_names.clear()
