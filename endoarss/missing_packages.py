"""Tell the user which extra of this package installs a package that is missing."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

# Distributions whose name differs from the name of the package in them.
_DISTRIBUTIONS = {"imagecorruptions": "imagecorruptions-imaug", "yaml": "pyyaml"}


def how_to_install(error: ModuleNotFoundError, who: str, preferred: str) -> str:
    """Return a sentence that says which package is missing and how to install it.

    Args:
        error: the exception that the failed import raised.
        who: the command or function that needs the package, e.g. "endoarss train".
        preferred: the extra to name if several extras install the package, e.g. "train".

    Returns:
        A sentence such as "endoarss train needs torch: pip install 'endoarss[train]'"; empty if no extra installs the package.
    """
    package = (error.name or "").partition(".")[0]
    extras = _extras_with(_DISTRIBUTIONS.get(package, package.replace("_", "-")))
    if not extras:
        return ""
    extra = preferred if preferred in extras else extras[0]
    return f"{who} needs {package}: pip install 'endoarss[{extra}]'"


def _extras_with(distribution: str) -> list[str]:
    """Return the extras that list a distribution, in alphabetical order; none if this package is not installed."""
    try:
        requirements = requires("endoarss") or []
    except PackageNotFoundError:
        return []
    matches = (re.fullmatch(r"([\w-]+).*\bextra == ['\"]([\w-]+)['\"]", requirement) for requirement in requirements)
    return sorted(match[2] for match in matches if match and match[1].lower() == distribution)
