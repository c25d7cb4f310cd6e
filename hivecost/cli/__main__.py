"""`python -m hivecost.cli` is the same as `hivecost`."""

from hivecost.cli.app import main

main()
