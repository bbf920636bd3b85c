"""Multi-task architectures: what tasks share. One file an architecture, registered by `@register_architecture`."""
