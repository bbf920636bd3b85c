"""Speed and memory compared with other implementations: `make bench`. The figures are of one run on one machine; compare ratios."""
