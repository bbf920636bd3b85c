"""Which process may write what: locks of commands, and slots of the machine's GPUs."""
