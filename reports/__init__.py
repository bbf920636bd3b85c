"""Turns result tables into statistics, tables, figures and a page; depends on pandas and matplotlib, not on torch or the pipeline."""
