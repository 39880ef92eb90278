"""`python -m services.differ`."""

from services.differ.app import main

main()
