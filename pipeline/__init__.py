"""Run studies, from raw trees to a report. CONTRIBUTING.md describes the subpackages."""
