"""Backbones: they turn images into one feature map per stream. Each is one file, registered by `@register_backbone`."""
