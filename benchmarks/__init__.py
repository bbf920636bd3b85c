"""Speed and memory side by side with peers: `make bench`. Figures come from one run on one machine; compare ratios."""
