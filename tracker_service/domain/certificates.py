"""Say what is wrong with the certificate of a server.

The codes are those of OpenSSL, https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

_FORM = range(76, 96)  #: X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA and what follows: RFC 5280
_FORM_REMEDY = (
    "Python 3.13 and later refuse a certificate that is not as RFC 5280 wants it; have its "
    "authority issue it (or the authority's own) anew"
)


def certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Return the refusal of a certificate in an error of any package, None if there is none."""
    return next((e for e in _inside(error) if isinstance(e, ssl.SSLCertVerificationError)), None)


def form_trouble(error: ssl.SSLCertVerificationError) -> str | None:
    """Say what is wrong with the form of a certificate, and what to do; None if nothing is.

    No other authority would help: the certificate itself lacks something.
    """
    if error.verify_code not in _FORM:
        return None
    return f"{error.verify_message}: {_FORM_REMEDY}"


def _inside(error: object) -> Iterator[BaseException]:
    """Yield an error and what it is made of: packages wrap errors in arguments and reasons."""
    if not isinstance(error, BaseException):
        return
    yield error
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if inner is not error:
            yield from _inside(inner)
