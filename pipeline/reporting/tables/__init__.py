"""Makes the tables of a study from its saved results."""
