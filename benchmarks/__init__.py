"""Speed and memory compared with other implementations: `make bench`. The figures come from one run on one machine, so compare ratios."""
