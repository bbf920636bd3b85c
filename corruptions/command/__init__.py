"""The command `corruptions`: folders of pictures, contact sheets, lists. The library beside it knows no files."""
