"""The pipeline from raw trees to a report: studies, data and files. CONTRIBUTING.md describes its subpackages."""
