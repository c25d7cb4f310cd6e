"""`python -m hivecost` is the same as `hivecost`."""

from hivecost.cli.app import main

main()
