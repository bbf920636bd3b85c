"""The three datasets of the paper and one of real frames: labels, activities, splits, builders."""
