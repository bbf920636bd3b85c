"""Label values that models, losses and metrics share."""

# The mask value of pixels that belong to no class; losses and metrics ignore them.
IGNORED = 255
