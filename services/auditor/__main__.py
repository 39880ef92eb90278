"""`python -m services.auditor`."""

from services.auditor.app import main

main()
