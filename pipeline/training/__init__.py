"""The steps that make models: pretrain, train, merge."""
