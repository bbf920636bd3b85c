"""Define the classes, palettes, activities and split names that sources and datasets share."""
