"""Log in with a keytab (SPNEGO, RFC 4559), with the `requests-kerberos` package.

Follows https://hadoop.apache.org/docs/r3.3.6/hadoop-auth/index.html; the keytab and the tickets in
memory are those of https://web.mit.edu/kerberos/krb5-latest/doc/basic/keytab_def.html
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import requests
from requests.auth import AuthBase
from requests_kerberos import DISABLED, HTTPKerberosAuth
from requests_kerberos.exceptions import KerberosExchangeError

from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.direct import LOGIN_REMEDY


def keytab_login(principal: str, keytab: Path) -> Callable[[], AuthBase]:
    """Log this process in with a keytab, without `kinit` and without a ticket file.

    Returns:
        what answers the challenge to one request: it keeps what belongs to one handshake.
    """
    os.environ["KRB5_CLIENT_KTNAME"] = f"FILE:{keytab.absolute()}"
    os.environ["KRB5CCNAME"] = "MEMORY:tracker"
    # It logs each failure with a traceback; here they become errors with a reason.
    logging.getLogger("requests_kerberos").setLevel(logging.CRITICAL)
    return lambda: _Handshake(principal)


class _Handshake(HTTPKerberosAuth):  # type: ignore[misc]  # it has no types
    """Answers one challenge, or says why that cannot be done."""

    def __init__(self, principal: str) -> None:
        # That a service proves itself too would be no use: an impostor asks for no login. TLS tells
        # who answers, and Hadoop does not look at what binds a login to it.
        super().__init__(mutual_authentication=DISABLED, principal=principal, send_cbt=False)

    def generate_request_header(
        self, response: requests.Response, host: str, is_preemptive: bool = False
    ) -> str:
        """Return the header that answers a challenge."""
        try:
            return str(super().generate_request_header(response, host, is_preemptive))
        except KerberosExchangeError as error:
            response.close()
            reason = " ".join(str(error).split())
            raise GatewayUnavailable(
                f"{self.principal} cannot log in at {host} ({reason}): {remedy(reason)}"
            ) from error


#: What an operator can do, by words of MIT Kerberos.
_REMEDIES = {
    "Clock skew": "the clocks of this machine and of the KDC are more than 5 minutes apart; let "
    "both follow NTP",
    "Cannot contact any KDC": "is the KDC running, and does the krb5.conf of this machine name it?",
    "Cannot find KDC": "name the KDC of this realm in the krb5.conf of this machine",
    "not found in Kerberos database": "the KDC does not know it; correct gateway.principal",
    "Preauthentication failed": "the keytab has an old key; have gateway.keytab exported anew",
    "no suitable keys": "the keytab is another's; correct gateway.keytab or gateway.principal",
    "No credentials": "the keytab has no key for it that the KDC takes; correct gateway.keytab or "
    "gateway.principal, and look whether the KDC is running",
    "expired": "the ticket has expired and the KDC gave no other; is the KDC running, and the "
    "principal still valid?",
}


def remedy(reason: str) -> str:
    """Return what an operator can do about a login that failed for a reason."""
    return next((text for words, text in _REMEDIES.items() if words in reason), LOGIN_REMEDY)
