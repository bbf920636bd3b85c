"""Pretrained weights from files of any origin: read as data, their names matched with a model's, and what does not fit explained."""
