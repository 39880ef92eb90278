"""OneRoster 1.1 and 1.2: a roster read over REST, or from the CSV files of a bundle."""
