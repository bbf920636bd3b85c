"""Result tables in; tables, figures and a page out. Knows pandas and matplotlib, not torch and not how results came about."""
