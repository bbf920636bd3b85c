"""The command `corruptions`: corrupts folders of images, draws contact sheets, lists corruptions. Only this folder reads files."""
