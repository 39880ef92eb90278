"""`python -m services.applier`."""

from services.applier.app import main

main()
