"""The names of the splits in sources and manifests, of the rules that split a dataset, and the test sequences of the VQLA split."""

TRAIN, TEST = "train", "test"
# As the frames came; a seeded draw from each activity; whole sequences.
GIVEN, RANDOM_BY_ACTIVITY, BY_SEQUENCE = "given", "random_by_activity", "by_sequence"
# Test sequences of EndoVis 2018 in the VQLA split.
TEST_2018 = (1, 5, 16)
