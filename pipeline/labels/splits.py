"""The names of the splits in sources and manifests, of the rules that split a dataset, and the test sequences of the VQLA split."""

TRAIN, TEST = "train", "test"
# As the frames came; a seeded draw from each activity; whole sequences.
RELEASED, PUBLISHED, BY_SEQUENCE = "released", "published", "by_sequence"
# Test sequences of EndoVis 2018 in the VQLA split.
TEST_2018 = (1, 5, 16)
