"""From raw trees to a report: sources, datasets, steps, rules and the command line. Composes the other packages."""
