"""The steps that make data: generate raw trees, check sources, build datasets."""
