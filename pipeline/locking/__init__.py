"""Take the locks of commands, and the slots of the machine's GPUs."""
