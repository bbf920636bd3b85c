"""Values of labels that models, losses and metrics share."""

# The value of a mask's pixels that belong to no class: losses and metrics leave them out.
IGNORED = 255
