"""Model merging: combine several models that were fine-tuned from the same weights into one, and apply Representation Surgery to it.

- Mergers combine several task vectors into one. Each is one file here, registered by `@register_merger("name")`.
- `surgery` defines the Surgery module behind the merged backbone, and `fit_surgery` trains it.
- `merge` applies both to the models of this package; mergers and Surgery themselves work on plain state dicts and tensors.
"""
