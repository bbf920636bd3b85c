"""Pretrained weights from files of any origin: read them as data, match their names with a model, and explain what does not match."""
