"""The auditor: remembers every fact of every run and proves that nothing was altered."""
