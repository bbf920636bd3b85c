"""Classes, palettes, activities and split names, which sources and datasets share."""
