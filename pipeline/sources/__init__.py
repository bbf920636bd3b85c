"""Read raw trees, with one module per layout, and generate synthetic trees."""
