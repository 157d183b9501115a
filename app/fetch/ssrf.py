"""Protection against server-side request forgery (SSRF): which IP addresses belong to the public internet.

Without this check, a hostile host name or redirect could lead to a server inside the operator's network. ``is_global``
of ``ipaddress`` is not enough, because it is also true for multicast addresses, and for addresses that a translator or
a tunnel maps to IPv4 addresses, even to private ones.
"""

import ipaddress

_NOT_PUBLIC = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96",  # IPv4-compatible, deprecated (RFC 4291, 2.5.5.1); includes the unspecified address and loopback
            "::ffff:0:0/96",  # IPv4-mapped (RFC 4291, 2.5.5.2)
            "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
            "64:ff9b::/96",  # NAT64 (RFC 6052)
            "64:ff9b:1::/48",  # local-use NAT64 (RFC 8215)
            "2001::/32",  # Teredo (RFC 4380)
            "2002::/16",  # 6to4 (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637); ``ipaddress`` of Python 3.11 does not know this network
            "fec0::/10",  # site-local, deprecated (RFC 3879)
        ),
    )
)


def is_public_address(address: str) -> bool:
    """Return whether ``address``, as a socket reports it, is a unicast address of the public internet.

    Private, loopback, link-local, carrier-grade NAT, multicast, reserved, unspecified, broadcast, translated and scoped
    addresses are not public. A text that is not an IP address is not public either.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return True
    return parsed.scope_id is None and not any(parsed in network for network in _NOT_PUBLIC)
