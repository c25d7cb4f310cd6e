"""`python -m hivecost.cli` is the same as `hivecost`."""

from hivecost.cli import main

main()
