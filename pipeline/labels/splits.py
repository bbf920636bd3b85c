"""The names of the splits in sources and manifests."""

TRAIN, TEST = "train", "test"
