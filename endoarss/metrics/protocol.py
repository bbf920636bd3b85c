"""Which definition of a metric is used: what its name says ("standard"), or what the paper's released code computes ("published")."""

from __future__ import annotations

from endoarss.errors import UnknownNameError

STANDARD = "standard"
PUBLISHED = "published"
PROTOCOLS = (STANDARD, PUBLISHED)


def check_protocol(protocol: str) -> None:
    """Raise UnknownNameError, with the known names, unless the protocol is known."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
