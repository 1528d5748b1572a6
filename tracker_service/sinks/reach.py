"""Where messages may go to: the hosts that the site allows, and no address inside of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Self

from tracker_service.errors import TrackerError
from tracker_service.settings.sinks import SinksSettings

Network = IPv4Network | IPv6Network


class NotReachable(TrackerError):
    """The site does not let messages go to this host or address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The hosts and addresses to which the messages of users may go."""

    hosts: Sequence[str] = ()  #: names, with `*` and `?` as in a shell
    #: addresses that are allowed although they are private, of this machine or of this link
    networks: Sequence[Network] = ()
    mail_domains: Sequence[str] = ()  #: names, with `*` and `?` as in a shell
    is_everywhere: bool = False  #: the site itself names the receivers: nothing is refused

    @classmethod
    def of_users(cls, sinks: SinksSettings) -> Self:
        """Return where users may send to."""
        return cls(
            hosts=sinks.allowed_hosts,
            networks=sinks.allowed_networks,
            mail_domains=sinks.allowed_mail_domains,
        )

    def check_host(self, host: str) -> None:
        """Check that messages may go to a host.

        Raises:
            NotReachable: the site does not allow it.
        """
        if self.is_everywhere or any(fnmatchcase(host.lower(), each) for each in self.hosts):
            return
        raise NotReachable(
            f"users may not send to {host}: an operator can add it to sinks.allowed_hosts"
        )

    def check_mail_address(self, address: str) -> None:
        """Check that mail may go to an address.

        Raises:
            NotReachable: the site does not allow it.
        """
        domain = address.rpartition("@")[2].lower()
        if not any(fnmatchcase(domain, each.lower()) for each in self.mail_domains):
            raise NotReachable(
                f"users may not send mail to {domain}: an operator can add it to "
                "sinks.allowed_mail_domains"
            )

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host.

        Raises:
            NotReachable: the host is not allowed, or its name leads to an address that is not.
            OSError: the name has no address.
        """
        self.check_host(host)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        for address in addresses:
            self._check_address(host, address)
        return addresses

    def _check_address(self, host: str, address: str) -> None:
        found = ip_address(address.partition("%")[0])
        bare = getattr(found, "ipv4_mapped", None) or found
        is_public = bare.is_global and not bare.is_multicast
        if self.is_everywhere or is_public or any(bare in network for network in self.networks):
            return
        raise NotReachable(
            f"{host} leads to {address}, which is not a public address: an operator can allow it "
            "with sinks.allowed_networks"
        )
