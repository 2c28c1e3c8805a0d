"""`python -m gateway.cli` is `conveyor`."""

from gateway.cli import main

main()
