"""Weightings: methods that combine the tasks' losses or gradients. Each is one file, registered by `@register_weighting`."""
