"""Multi-task architectures: they decide what the tasks share. Each is one file, registered by `@register_architecture`."""
