"""What goes says so first, where it is used."""

from __future__ import annotations

import pytest

from hivecost.deprecation import warn_deprecated


def old():
    warn_deprecated("old()", since="0.3.0", instead="new()")


def test_the_warning_is_about_the_callers_line_and_names_the_way_out():
    """A program that uses it is told where, since when, until when and what to write."""
    expected = r"^old\(\) is deprecated since hivecost 0\.3\.0 and goes with the next minor release; use new\(\) inst"
    with pytest.warns(DeprecationWarning, match=expected) as caught:
        old()
    (warning,) = caught
    line = test_the_warning_is_about_the_callers_line_and_names_the_way_out.__code__.co_firstlineno + 4
    assert (warning.filename, warning.lineno) == (__file__, line)


def test_it_is_about_the_user_however_deep_it_is_called():
    """`stacklevel` counts the functions of hivecost that stand between."""

    def inner():
        warn_deprecated("old(x=…)", since="0.3.0", instead="old(y=…)", stacklevel=2)

    def outer():
        inner()

    with pytest.warns(DeprecationWarning, match="old") as caught:
        outer()
    (warning,) = caught
    assert warning.lineno > inner.__code__.co_firstlineno + 4
