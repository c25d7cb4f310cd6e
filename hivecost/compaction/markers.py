"""What compaction writes in the place of what it took out, and knows again when it comes by later."""

from __future__ import annotations

from typing import Final

#: How a summary begins: a message of the user's, since what is read into it may come from a tool.
SUMMARY_MARK: Final = "[hivecost: summary of the conversation so far]"
_PRUNED_MARK: Final = "[hivecost: "
_CUT: Final = "\n[hivecost: {:,} characters were cut here]\n"


def placeholder(tool: str, characters: int, tokens: float, place: str) -> str:
    """Return what stands for a result that was taken out."""
    kept = f"; it is kept in {place}" if place else ""
    name = tool or "a tool"
    return f"{_PRUNED_MARK}the result of {name} was taken out, {characters:,} characters, {tokens:,.0f} tokens{kept}]"


def cleared_arguments(characters: int) -> dict[str, str]:
    """Return what stands for the arguments of a call."""
    return {"cleared": f"{_PRUNED_MARK}{characters:,} characters of arguments were taken out]"}


def is_placeholder(content: object) -> bool:
    """Return whether a result's content stands for one that was taken out."""
    return isinstance(content, str) and content.startswith(_PRUNED_MARK)


def cut_at_both_ends(text: str, characters: int) -> str:
    """Return the first and the last of a text, with a note between; at most so many characters where they hold one."""
    note = _CUT.format(len(text) - characters)
    half = max(0, characters - len(note)) // 2
    return f"{text[:half]}{note}{text[len(text) - half :]}"
