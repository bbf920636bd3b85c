"""Tables as data frames, and how they are written as CSV and LaTeX."""
