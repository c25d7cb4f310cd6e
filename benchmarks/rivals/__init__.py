"""`python -m benchmarks rivals`: one agent with $0.50 and 50 calls of $0.02, under each tool that promises to hold.

The tools are in an environment of their own: `make rivals` makes it from requirements/rivals.txt, and runs this.
"""
