"""`python -m slimfront`."""

from slimfront.cli.main import main

main()
