"""Where checks may look: the networks that the site allows, and no address of its metadata."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from tracker_service.errors import TrackerError

Network = IPv4Network | IPv6Network
#: Addresses of the link, where clouds keep the credentials of machines.
_METADATA = tuple(
    map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32"))
)
Place = tuple[socket.AddressFamily, Any]  # what `connect` takes


class NotAllowedHere(TrackerError):
    """The site does not let checks look at this address."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The networks that checks may look into."""

    networks: Sequence[Network] = ()  #: none: all but those of the link

    def places(self, host: str, port: int) -> list[Place]:
        """Return the addresses of a host.

        Raises:
            NotAllowedHere: the name leads to an address that is not allowed.
            OSError: the name has no address.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, address in found:
            self._check(host, str(address[0]))
        return [(family, address) for family, *_, address in found]

    def _check(self, host: str, address: str) -> None:
        found = ip_address(address.partition("%")[0])
        bare = getattr(found, "ipv4_mapped", None) or found
        is_allowed = (
            any(bare in network for network in self.networks)
            if self.networks
            else not any(bare in network for network in _METADATA)
        )
        if not is_allowed:
            raise NotAllowedHere(
                f"{host} leads to {address}: an operator can allow it with checks.allowed_networks"
            )
