"""`hivecost` itself: what goes wrong is one line that names the culprit, and an exit status that scripts can use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.cli import app as _app
from hivecost.cli import main
from hivecost.events import LLMTurnComplete


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sessions", "--since", "2026-13-01"], "since: expected 'today', 'yesterday', '24h', '7d'"),
        (["sessions", "--status", "broken"], "'broken' is not one of 'running', 'completed', 'failed', 'cancelled'"),
        (["sessions", "--nope"], "No such option: --nope"),
        (
            ["spend", "--by", "day,customer"],
            "by: expected some of hour, day, week, month, model, provider, agent, user",
        ),
        (["spend", "--by", "day,day"], "by: expected groups, each named once"),
        (["spend", "--by", "day", "--by", "day"], "by: expected groups, each named once"),
        (["spend", "--by", ""], "spend --by: expected a group"),
        (["spend", "--by", "day,"], "by: expected some of hour"),
        (["spend", "--by", "tags"], "entry_point, kind, tag:NAME, got 'tags'"),
        (["spend", "--since", "2026-11-22", "--until", "2026-11-21"], "until: expected a moment after 2026-11-22"),
        (["sessions", "--since", "2026-11-22", "--until", "2026-11-21"], "until: expected a moment after 2026-11-22"),
        (["spend", "--timezone", "Mars/Olympus"], "timezone: expected an IANA name"),
        (["spend", "--csv", "--json"], "spend: expected one of --csv and --json"),
        (["prune"], "prune: expected one of --keep AGE"),
        (["reprice"], "Missing option '--since'"),
        (["budget", "resolve", "1-1"], "resolve: expected what it cost"),
        (["advise", "--prices", "nowhere.toml"], "nowhere.toml: prices: expected a readable TOML file"),
        (["nonsense"], "No such command 'nonsense'"),
        (["sessions", "--limit", "9" * 5_000], "Invalid value for '--limit'"),
        (["sessions", "--since", "\x1b[2J"], r"got '\x1b[2J'"),
        (["prices", "show", "gpt-4o", "--at", "9999-12-31T23:59:59-1400"], "--at: expected a moment"),
        (["prices", "show", "nobody", "--at", "0001-01-01T00:00:00+1400"], "--at: expected a moment"),
        (["budget", "resolve", "1-1", "--usd", "9" * 5_000], "--usd: expected an amount in USD"),
        (["budget", "resolve", "1-1", "--usd", "nan"], "--usd: expected an amount in USD"),
    ],
)
def test_what_was_asked_wrongly_is_status_2(hivecost, tmp_path, arguments, said):
    """The message says what was expected, and nothing is printed that a pipe would take for an answer."""
    data = [] if arguments == ["nonsense"] else ["--data", str(tmp_path)]
    status, out, err = hivecost(*arguments, *data)
    assert (status, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "no session was logged in {data} yet; name another folder with --data"),
        (["report", "nobody"], "no session 'nobody' is logged in {data}/hivecost.db; `hivecost sessions` lists those"),
        (["budget", "status"], "A runtime with open_ledger=… keeps its money elsewhere"),
        (["prices", "show", "no-such-model"], "no price is known for model 'no-such-model'"),
        (["prices", "show", "nobody", "--at", "0001-01-01"], "no price is known for model 'nobody'"),
        (["report", "\x1b[2J"], r"no session '\x1b[2J' is logged"),
    ],
)
def test_what_could_not_be_done_is_status_1(hivecost, tmp_path, arguments, said):
    """One line on stderr."""
    status, out, err = hivecost(*arguments, "--data", str(tmp_path))
    assert (status, out) == (1, "")
    assert err.startswith("hivecost: ")
    assert said.format(data=tmp_path) in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["spend"],
        ["spend", "--csv"],
        ["spend", "--json", "--by", "month"],
        ["sessions"],
        ["sessions", "--json"],
        ["report", "--json"],
        ["advise"],
        ["advise", "--json"],
        ["budget", "status"],
        ["budget", "status", "--json"],
        ["budget", "explain", "cap"],
        ["budget", "doubts", "--json"],
    ],
    ids=" ".join,
)
def test_a_mistyped_folder_is_no_empty_answer(hivecost, tmp_path, arguments):
    """Status 1 and the folder's name, whatever the format, and nothing on standard output or on the disk."""
    typo = tmp_path / "typo"
    status, out, err = hivecost(*arguments, "--data", str(typo))
    assert (status, out) == (1, "")
    assert str(typo) in err
    assert "--data" in err
    assert not typo.exists()


@pytest.fixture
def logged_path(tmp_path):
    """A data folder with a session in its log."""
    anyio.run(Store(tmp_path).write, [LLMTurnComplete(session_id="s", model="m")])
    return tmp_path


def test_a_fault_of_our_own_is_a_line_with_its_place(hivecost, monkeypatch, logged_path):
    """Nobody is shown a traceback; who reports the line says where it was."""

    def broken(*_):
        raise UnicodeDecodeError("utf-8", b"\xb3", 0, 1, "invalid start byte")

    monkeypatch.setattr("hivecost.cli.render.render_sessions", broken)
    status, _, err = hivecost("sessions", "--data", str(logged_path))
    assert status == 1
    assert err.startswith("hivecost: a fault of hivecost itself, please report it: UnicodeDecodeError: 'utf-8' codec")
    assert re.search(r"\(hivecost/cli/sessions\.py, line \d+\)\n$", err)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--help"], "hivecost.cli.help.help_text"),
        (["today"], "hivecost.cli.quick.open_log"),
        (["statusline"], "hivecost.cli.quick.open_log"),
        (["sessions"], "hivecost.cli.render.render_sessions"),
    ],
)
def test_ctrl_c_is_status_130_and_no_word(hivecost, monkeypatch, logged_path, arguments, where):
    """Whatever the command was at."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    monkeypatch.setenv("HIVECOST_DATA", str(logged_path))
    assert hivecost(*arguments) == (130, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions", "--limit", str(2**63)],
        ["sessions", "--limit", str(10**30), "--since", "0001-01-01", "--until", "9999-12-31"],
        ["prune", "--keep", "99999w"],
        ["prune", "--before", "0001-01-01"],
        ["spend", "--since", "9999-12-31T23:59:59-23:59"],
    ],
)
def test_numbers_and_dates_beyond_64_bits_mean_everything_or_nothing(monkeypatch, capsys, tmp_path, arguments):
    """There is no more than all, and nothing was logged before there was time."""
    RuntimeLog(tmp_path).append_once([LLMTurnComplete(session_id="session_1")])
    monkeypatch.setattr(sys, "argv", ["hivecost", *arguments, "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code or 0, capsys.readouterr().err) == (0, "")


def test_an_argument_that_is_no_text_is_named(tmp_path):
    """Its bytes are no UTF-8; a folder may have such a name."""
    for arguments in ([b"report", b"\xff"], [b"sessions", b"--user", b"\xff"], [b"spend", b"--model", b"\xff"]):
        RuntimeLog(tmp_path).append_once([LLMTurnComplete(session_id="session_1")])
        command = [sys.executable, "-m", "hivecost", *arguments, "--data", tmp_path]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"no UTF-8" in done.stderr
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    RuntimeLog(folder).append_once([LLMTurnComplete(session_id="session_1")])
    command = [sys.executable, "-m", "hivecost", "sessions", "--json", "--data", folder]
    assert b"session_1" in subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_a_disk_that_is_full_behind_a_pipe_is_named(logged_path):
    """`hivecost sessions > file` on a full disk."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hivecost", "sessions", "--data", str(logged_path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "hivecost: standard output: No space left on device\n")


COMMANDS = {
    "a table": (["sessions"], ""),
    "a table at once": (["report", "s"], "1"),
    "json": (["sessions", "--json"], ""),
    "csv": (["spend", "--csv", "--by", "model"], "1"),
    "help": (["spend", "--help"], ""),
    "more than a pipe holds": (["prices", "list"], ""),
}


@pytest.mark.parametrize(("arguments", "unbuffered"), COMMANDS.values(), ids=COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_fault(logged_path, arguments, unbuffered):
    """`hivecost … | head -1`: status 0, and nothing on stderr, whatever prints."""
    if "--help" not in arguments:
        arguments = [*arguments, "--data", str(logged_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hivecost", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    with process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_what_could_not_be_done_stays_so_when_nobody_reads(tmp_path):
    """The exit status is that of the command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hivecost", "report", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        process.stdout.close()
        assert process.wait(60) == 1


def test_every_command_says_what_it_does():
    """`--help` has a line for each."""
    assert all(command.callback is not None and command.callback.__doc__ for command in _app.registered_commands)
