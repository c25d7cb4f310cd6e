"""A hostile file is a ConfigError that names file and line, in a moment; none of it reaches the terminal raw."""

from __future__ import annotations

import pytest

import hivecost as hc
from hivecost.toml_document import TomlDocument

DIGITS = "9" * 5_000
BUDGET = '[[budget]]\nname = "a"\nlimit = '
PRICE = "[prices.m]\noutput = 1\ninput = "
SHORT = lambda value: ascii(value)[:40]  # noqa: E731  # some of the texts are long
NAMED = '[[budget]]\nlimit = "$1"\nname = '


def refusal(tmp_path, text, setting):
    """What a runtime says to this file as its `config` or its `prices`; the line comes first."""
    path = tmp_path / "c.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(hc.ConfigError) as refused:
        hc.AgentRuntime(tmp_path / "data", **{setting: path})
    said = str(refused.value)
    assert said.startswith(f"{path}:")
    assert said.isprintable()
    assert len(said) < 1_000
    return said.removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\nx = " + "[" * 5_000 + "]" * 5_000, 2),
        ("x = " + "[" * 100_000, 1),
        ("a = 1\nx = [\n" + "[\n" * 100, 18),
        ("x = " + "{a=" * 3_000 + "1" + "}" * 3_000, 1),
        ("\n\nx" + ".x" * 20_000 + " = 1", 3),
        ("[x" + ".'x'" * 20_000 + "]", 1),
        ("x" + " . x" * 20_000 + " = 1", 1),
        ('a = """\n\n"""\nx = ' + DIGITS, 4),
        ("x = 0x" + "f" * 100_000, 1),
        ("x = '''" + "[" * 100 + "'''\ny = " + DIGITS, 2),
        ("x = 1 # " + "[" * 100 + "\ny = 1.1.1", 2),
        ('x = "' + '\\"' * 10_000, 1),
        ("x = [\n[" + " " * 50_000 + "\n]]\ny = ", 4),
        ("a = 1\nb = \0", 2),
        ("a = 1\nb = '\x1b'", 2),
        (b"a = 1\n\n\xe9 = 1", 3),
        (b"\xff\xfea\0", 1),
        ("a = '\ud800'", 1),
    ],
    ids=SHORT,
)
@pytest.mark.parametrize("setting", ["config", "prices"])
def test_what_tomllib_cannot_bear_is_refused_by_line(tmp_path, text, line, setting):
    """Nesting, endless keys, numbers of thousands of digits, controls, no UTF-8."""
    assert refusal(tmp_path, text, setting).startswith(f"{line}: {setting}: expected ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BUDGET + "9" * 999, '3: budget "a".limit'),
        (BUDGET + "0x" + "f" * 990, '3: budget "a".limit'),
        (BUDGET + "1e999999999", '3: budget "a".limit'),
        (BUDGET + "nan", '3: budget "a".limit'),
        (BUDGET + "-inf", '3: budget "a".limit'),
        (BUDGET + '"1e-999999999"', '3: budget "a".limit'),
        (BUDGET + f'"{DIGITS} tokens"', '3: budget "a".limit'),
        (BUDGET + "1\nthrottle_s = 0x" + "f" * 990, '4: budget "a".throttle_s'),
        (BUDGET + "1\nthrottle_s = inf", '4: budget "a".throttle_s'),
        (BUDGET + "1\nwarn = [nan]", '4: budget "a".warn'),
        (BUDGET + "1\nwarn = [0x" + "f" * 990 + "]", '4: budget "a".warn'),
        (BUDGET + '1\ntimezone = "\\u0000"', '4: budget "a".timezone'),
        (BUDGET + '1\n"\\u001b[2J" = 1', '1: budget "a".\\x1b[2J: expected no such key'),
        (NAMED + '"\\u0000"', "3: "),
        (NAMED + '"\\u001b[31mred"', "3: "),
        (NAMED + '"a\\u202eb"', "3: "),
        (NAMED + '"a\\nb"', "3: "),
        ("[runaway]\ntask_tokens = 0x" + "f" * 990, "2: runaway.task_tokens"),
        ("[runtime]\nclose_timeout_s = 0x" + "f" * 990, "2: runtime.close_timeout_s"),
        ("[runtime]\nclose_timeout_s = nan", "2: runtime.close_timeout_s"),
        (PRICE + "nan", "3: prices.m.input"),
        (PRICE + "1e999999999", "3: prices.m.input"),
        (PRICE + "1e-999999999", "3: prices.m.input"),
        (PRICE + '"1e-999999999"', "3: prices.m.input"),
        (PRICE + "1e99999999999999999999999", "3: prices.m.input"),
        (PRICE + '"sNaN"', "3: prices.m.input"),
        (PRICE + "0x" + "f" * 990, "3: prices.m.input"),
        (PRICE + "[[[[[[[[[[1]]]]]]]]]]", "3: prices.m.input"),
        ('[prices."\\u001b[2J"]\ninput = 1\noutput = 1', "1: prices."),
        ('[aliases]\na = "\\u202e"', "2: aliases.a"),
        ('[aliases]\n"\\u0000" = "a"', "1: aliases."),
    ],
    ids=SHORT,
)
def test_what_no_setting_can_be_is_refused_by_key(tmp_path, text, said):
    """Numbers beyond all reason, and names that would turn or move the line they are printed in."""
    assert refusal(tmp_path, text, "config").startswith(said)


def test_a_file_that_is_too_large_is_refused(tmp_path):
    """Before it is read in full: `/dev/zero` has no end."""
    with pytest.raises(hc.ConfigError, match=r"/dev/zero: config: expected at most 1,048,576 bytes"):
        TomlDocument("/dev/zero")
    with pytest.raises(hc.ConfigError, match="expected the path of a TOML file"):
        TomlDocument("a\0b")


def test_names_of_any_language_are_names(tmp_path):
    """What letters need to be written right: joiners, ideographic spaces, emoji."""
    for name in ("می\u200cشود", "予算\u3000一", "\N{FAMILY}", "a\xa0b"):
        assert hc.Budget(name, limit="$1").name == name
        assert hc.AgentRuntime(tmp_path, prices={name: {"input": 1, "output": 1}}).prices.knows(name)


@pytest.mark.parametrize("value", [10**5_000, [10**5_000], {"a": 10**5_000}], ids=["number", "list", "table"])
def test_what_python_cannot_write_out_is_named_all_the_same(value):
    """In Python as in a file: the error tells the key."""
    for field in ("limit", "throttle_s", "warn", "mode", "per", "match", "name"):
        with pytest.raises(hc.ConfigError, match=field):
            hc.Budget(**{"name": "b", "limit": "$1", field: value})
    for table in ({"m": {"input": value, "output": 1}}, {"m": {"input": 1, "output": 1, "from": value}}, {"m": value}):
        with pytest.raises(hc.ConfigError, match=r"prices\.m"):
            hc.AgentRuntime("data", prices=table)
