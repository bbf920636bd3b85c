"""The two definitions of a metric: what its name says ("standard"), or what the authors' code computes ("authors_code")."""

from __future__ import annotations

from endoarss.errors import UnknownNameError

STANDARD = "standard"
AUTHORS_CODE = "authors_code"
PROTOCOLS = (STANDARD, AUTHORS_CODE)


def check_protocol(protocol: str) -> None:
    """Raise UnknownNameError, which lists the known names, unless the protocol is known."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
