"""`python -m hivecost` is the same as `hivecost`."""

from hivecost.cli import main

main()
