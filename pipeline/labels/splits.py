"""The names of the splits in sources and manifests, and the test sequences of the VQLA split."""

TRAIN, TEST = "train", "test"

# Test sequences of EndoVis 2018 in the VQLA split.
TEST_2018 = (1, 5, 16)
