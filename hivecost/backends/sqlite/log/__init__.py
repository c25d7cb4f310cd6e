"""What writes the log: events into rows, and the sums in step with them; what is deleted, pruned and repriced."""
