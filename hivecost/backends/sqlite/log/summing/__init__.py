"""Sums of hours and days, kept by the writer between batches: what changed, and doing it again."""
