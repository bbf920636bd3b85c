"""How the tasks' losses or gradients are combined. One file a weighting, registered by `@register_weighting`."""
