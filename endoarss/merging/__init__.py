"""Model merging: one model of several that were fine-tuned from the same weights, and Representation Surgery on it.

Three things that know nothing of each other: mergers make one task vector of several; Surgery (`surgery`) is a module behind the merged
backbone, and `fit_surgery` what trains it. They work on plain state dicts and tensors; `merge` puts them together for the models of
this package. A merger is added by one file here, with `@register_merger("name")`.
"""
