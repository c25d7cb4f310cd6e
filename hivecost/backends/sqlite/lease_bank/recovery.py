"""What becomes of the leases of processes that are gone: nothing is refunded on a guess."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from hivecost.backends.sqlite.lease_bank.accounts import change_lease, charge
from hivecost.backends.sqlite.lease_bank.audit import record_change
from hivecost.backends.sqlite.lease_bank.budget_rows import freeze_for_bill
from hivecost.backends.sqlite.lease_bank.in_doubt import doubt, is_known, settle_late
from hivecost.backends.sqlite.lease_bank.paths import LedgerPaths, boot_id, close_all, how_restarted
from hivecost.leasing.journal import JournalEntry, TornJournalError, read_journal
from hivecost.ledger import UNITS, Unit

_log = logging.getLogger(__name__)


class Recovery:
    """Recovers dead processes inside somebody's transaction; `finish` once that is durable, `give_up` if it is not."""

    def __init__(self, paths: LedgerPaths, now_ns: int) -> None:
        self._paths = paths
        self._now_ns = now_ns
        self._locks: list[int] = []
        self._gone: list[str] = []

    def recover_dead(self, connection: sqlite3.Connection, *, but: int = 0) -> int:
        """Settle, doubt and return what the dead have leased; how many there were. `but` is alive."""
        found = 0
        for process_id, name, boot in connection.execute(
            "SELECT id, journal, boot_id FROM ledger_processes WHERE id <> ?", [but]
        ).fetchall():
            held = self._paths.lock(name)
            if held is not None:
                self._locks += held
                self._recover(connection, process_id, name, restart=how_restarted(boot, boot_id()))
                found += 1
        return found

    def recover_own(self, connection: sqlite3.Connection, process_id: int, name: str) -> None:
        """Recover this process itself, whose memory cannot be trusted and whose journal can."""
        self._recover(connection, process_id, name, restart="")

    def finish(self) -> None:
        """Clear the files of the recovered away."""
        for name in self._gone:
            self._paths.remove(name)
        self.give_up()

    def give_up(self) -> None:
        """Let the locks go."""
        close_all(self._locks)

    def _recover(self, connection: sqlite3.Connection, process_id: int, name: str, *, restart: str) -> None:
        connection.execute("SAVEPOINT recovery")
        try:
            how = restart or self._replay(connection, process_id, self._paths.journal(name))
        except (TornJournalError, OSError, sqlite3.IntegrityError) as error:
            how = f"its journal cannot be read ({error})"
        if how:
            connection.execute("ROLLBACK TO recovery")
            self._doubt_leases(connection, process_id, how)
        connection.execute("RELEASE recovery")
        forget(connection, process_id)
        self._gone.append(name)
        detail = how or "its journal was read"
        record_change(connection, "recover", str(process_id), detail, who="hivecost", now_ns=self._now_ns)
        _log.warning("a process that used %s is gone; %s; what was open is in doubt", self._paths.path.parent, detail)

    def _replay(self, connection: sqlite3.Connection, process_id: int, journal: Path) -> str:
        """Take in what the journal says; "" when it could be."""
        (known,) = connection.execute(
            "SELECT coalesce(max(settled_number), 0) FROM ledger_processes WHERE id = ?", [process_id]
        ).fetchone()
        for entry in sorted(read_journal(journal), key=lambda entry: entry.settlement):
            hold_id = f"{process_id}-{entry.hold_number}"
            units = _units(connection, entry)
            held = {row_id: entry.held[UNITS.index(unit)] for row_id, (_, unit) in units.items()}
            left = {row_id: held[row_id] for row_id, (_, unit) in units.items() if unit not in entry.settled_units}
            if entry.settlement > known and not left and is_known(connection, hold_id):
                settle_late(connection, hold_id, dict(zip(UNITS, entry.billed, strict=True)), now_ns=self._now_ns)
            elif entry.settlement > known:
                self._settle(connection, process_id, entry, held, units)
            if left and doubt(
                connection,
                hold_id,
                left,
                key=entry.key,
                reason="its process died",
                since_ns=entry.at_ns,
                is_partial=entry.is_partial,
            ):
                _take_back(connection, process_id, left)
        return ""

    def _settle(
        self,
        connection: sqlite3.Connection,
        process_id: int,
        entry: JournalEntry,
        held: dict[int, int],
        units: dict[int, tuple[str, Unit]],
    ) -> None:
        settled = {row_id: named for row_id, named in units.items() if named[1] in entry.settled_units}
        billed = {row_id: entry.billed[UNITS.index(unit)] for row_id, (_, unit) in settled.items()}
        charge(connection, process_id, billed, held)
        for row_id, (budget, unit) in () if entry.is_partial else settled.items():
            bill = billed[row_id]
            freeze_for_bill(connection, budget, unit, billed=bill, held=held[row_id], now_ns=self._now_ns)

    def _doubt_leases(self, connection: sqlite3.Connection, process_id: int, reason: str) -> None:
        """Put all that the process had leased in doubt, one doubt per account, because it may be spent."""
        for row_id, amount in connection.execute(
            "SELECT account_id, amount FROM ledger_leases WHERE process_id = ? AND amount > 0", [process_id]
        ).fetchall():
            doubt(
                connection,
                f"{process_id}-lease-{row_id}",
                {row_id: amount},
                key="",
                reason=reason,
                since_ns=self._now_ns,
            )


def forget(connection: sqlite3.Connection, process_id: int) -> None:
    """Forget a process that has ended; what is left of its leases goes back to the accounts."""
    for table in ("ledger_leases", "ledger_requests"):
        connection.execute(f"DELETE FROM {table} WHERE process_id = ?", [process_id])
    connection.execute("DELETE FROM ledger_processes WHERE id = ?", [process_id])


def _take_back(connection: sqlite3.Connection, process_id: int, amounts: dict[int, int]) -> None:
    for row_id, amount in amounts.items():
        change_lease(connection, process_id, row_id, -amount)


def _units(connection: sqlite3.Connection, entry: JournalEntry) -> dict[int, tuple[str, Unit]]:
    """Return (budget, unit) by row of the accounts. Raise TornJournalError for a row that is missing."""
    found: dict[int, tuple[str, Unit]] = {}
    for row_id in entry.accounts:
        row = connection.execute(
            "SELECT name, unit FROM ledger_budgets JOIN ledger_accounts ON budget = name WHERE id = ?", [row_id]
        ).fetchone()
        if row is None:
            raise TornJournalError(f"account {row_id} does not exist")
        found[row_id] = row
    return found
