"""Check the way to the gateway: its name, its port, its certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from tracker_service.doctor.results import CheckResult, fail, ok, warn
from tracker_service.domain.certificates import form_trouble
from tracker_service.domain.urls import is_loopback, origin_of, place_of
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.transport import proxies_for

URL = "TRACKER_GATEWAY__URL"
CA_FILE = "TRACKER_GATEWAY__CA_FILE"

_SOON_DAYS = 14
# What OpenSSL says about a certificate: X509_V_ERR_ of x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = (62, 64)


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    timeout_s: float

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), self.timeout_s)


def findings(gateway: Gateway) -> Iterator[CheckResult]:
    """Yield the results on the way; after a failure, the rest makes no sense."""
    scheme, host, port = origin_of(gateway.url)
    if proxies := proxies_for(gateway.url):
        names = sorted({place_of(proxy) for proxy in proxies.values()})
        yield ok(
            "proxy",
            f"requests to {host} go through the proxy {' or '.join(names)} of HTTPS_PROXY or "
            "HTTP_PROXY; name the host in NO_PROXY if it needs none",
        )
        return
    is_secure = scheme == "https"
    place = _Place(host, port or 0, gateway.connect_timeout_s)
    yield _name(place)
    yield _port(place)
    if is_secure:
        yield _certificate(place, gateway)
    elif is_loopback(host):
        yield ok("tls", f"{place} is this machine and needs no TLS")
    else:
        yield warn("tls", f"passwords travel to {place} unencrypted; begin {URL} with https://")


def _name(place: _Place) -> CheckResult:
    try:
        socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return fail(
            "dns",
            f"the name {place.host} has no address ({error.strerror}); correct the host in {URL}, "
            "or the DNS of this machine",
        )
    return ok("dns", f"the name {place.host} has an address")


def _port(place: _Place) -> CheckResult:
    try:
        place.connect().close()
    except TimeoutError:
        message = f"{place} does not answer within {place.timeout_s:g} s; is a firewall in between?"
        return fail("tcp", message)
    except OSError as error:
        return fail(
            "tcp",
            f"nothing listens at {place} ({error.strerror}); is Knox running, and is the port in "
            f"{URL} right?",
        )
    return ok("tcp", f"something listens at {place}")


def _certificate(place: _Place, gateway: Gateway) -> CheckResult:
    if not gateway.verify:
        return warn(
            "tls",
            f"the certificate of {place} is not verified, so that anybody in between can read "
            f"passwords; set TRACKER_GATEWAY__VERIFY=true and {CA_FILE}",
        )
    trusted = str(gateway.ca_file or DEFAULT_CA_BUNDLE_PATH)
    context = ssl.create_default_context(cafile=trusted)
    try:
        with (
            place.connect() as plain,
            context.wrap_socket(plain, server_hostname=place.host) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return fail("tls", _why_not_trusted(place, error, trusted))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        message = f"{place} speaks no TLS ({reason}); correct the port in {URL}, or its https://"
        return fail("tls", message)
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86400
    if days < _SOON_DAYS:
        message = f"the certificate of {place} expires in {days:.0f} days; have it renewed"
        return warn("tls", message)
    return ok("tls", f"the certificate of {place} is right, for {days:.0f} more days")


def _why_not_trusted(place: _Place, error: ssl.SSLCertVerificationError, trusted: str) -> str:
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of {place} has expired; have Knox's renewed, or correct the clock "
            "of this machine"
        )
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {place} is not valid yet; correct the clock of this machine"
    if error.verify_code in _OTHER_NAME:
        return (
            f"the certificate of {place} is not for the name {place.host}; write the name that it "
            f"is for in {URL}, or have one issued for this name"
        )
    if trouble := form_trouble(error):
        return f"the certificate of {place} is refused ({trouble})"
    return (
        f"the certificate of {place} is not signed by an authority in {trusted} "
        f"({error.verify_message}); set {CA_FILE} to a PEM with the one that signed it"
    )
