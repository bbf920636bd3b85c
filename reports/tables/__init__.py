"""Tables, written as CSV and LaTeX."""
