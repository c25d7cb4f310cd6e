"""Cost control for agent runtimes."""
