"""Which IP addresses are of the public internet, so that a hostile name or redirect leads to no one inside.

``ipaddress`` alone does not tell: its ``is_global`` is true for multicast, and for addresses that a translator or a
tunnel turns into IPv4 ones, private or not.
"""

import ipaddress

_NOT_PUBLIC = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96",  # IPv4-compatible, deprecated (RFC 4291, 2.5.5.1); the unspecified address and loopback with it
            "::ffff:0:0/96",  # IPv4-mapped (RFC 4291, 2.5.5.2)
            "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
            "64:ff9b::/96",  # NAT64 (RFC 6052)
            "64:ff9b:1::/48",  # NAT64 of one network (RFC 8215)
            "2001::/32",  # Teredo (RFC 4380)
            "2002::/16",  # 6to4 (RFC 3056)
            "3fff::/20",  # for documentation (RFC 9637); Python 3.11 does not know it
            "fec0::/10",  # site-local, deprecated (RFC 3879)
        ),
    )
)


def is_public_address(address: str) -> bool:
    """Tell whether ``address``, in the form of a socket's address, is a single host of the public internet.

    What is private, loopback, link-local, shared by a carrier's customers, multicast, reserved, unspecified, broadcast,
    translated, scoped to an interface, or no IP address at all, is not.
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
