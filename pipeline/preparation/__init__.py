"""The steps that prepare data: generate raw trees, check sources, build and pack datasets."""
