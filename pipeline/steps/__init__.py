"""What the rules run, one file a step. Each also runs by hand through the command line."""
