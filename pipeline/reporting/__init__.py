"""Makes the tables, figures, page and paper of a study from its saved results."""
