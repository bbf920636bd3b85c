"""Which definition of a metric is used."""

from __future__ import annotations

from endoarss.errors import UnknownNameError

PROTOCOLS = ("standard",)


def check_protocol(protocol: str) -> None:
    """Raise UnknownNameError, with the known names, unless the protocol is known."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
