"""Locks of commands, and slots of the machine's GPUs."""
