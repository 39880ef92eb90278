"""What Prometheus scrapes, records and alerts on. The rules and their tests are made from tables and checked first."""
