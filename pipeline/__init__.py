"""Everything about studies, data and files, from raw trees to a report. CONTRIBUTING.md says what happens in each room."""
