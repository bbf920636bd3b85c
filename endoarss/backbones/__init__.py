"""Backbones: images in, one feature map a stream out. One file a backbone, registered by `@register_backbone`."""
