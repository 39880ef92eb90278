"""`python -m services.extractor`."""

from services.extractor.app import main

main()
