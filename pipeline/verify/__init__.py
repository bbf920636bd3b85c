"""Whether results are what the study, the data and the checkpoints give: digests computed again, scores and answers too."""
