"""The command `corruptions`: corrupts folders of images, draws contact sheets, lists corruptions. Only this part of the package reads files."""
