"""Classes, palettes, activities and the names of splits; sources and datasets both take them from here."""
