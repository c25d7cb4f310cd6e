"""Counts turns by model."""

from hivecost_template.turn_counter import TurnCounter

__all__ = ["TurnCounter"]
