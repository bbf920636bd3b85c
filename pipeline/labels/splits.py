"""Define the names of splits and split rules in sources, manifests and studies, and the test sequences of the VQLA split."""

TRAIN, TEST = "train", "test"
# Split rules: the split that came with the frames, a seeded draw from each activity, or whole sequences.
GIVEN, RANDOM_BY_ACTIVITY, BY_SEQUENCE = "given", "random_by_activity", "by_sequence"
# Test sequences of EndoVis 2018 in the VQLA split.
TEST_2018 = (1, 5, 16)
