"""Implement `endoarss verify`: compute digests, scores and a sample of predictions again and compare them with the saved ones."""
