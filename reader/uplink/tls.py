"""TLS to the broker: the files of ``[mqtt]`` that make it, and what went wrong in words with a remedy.

Either end may refuse the other. Ours says why at once, in the handshake. The broker's word on our
certificate is an alert; in TLS 1.3 it comes after the handshake, when this end believes itself connected.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerRefused, BrokerUnreachable
from reader.uplink.account import exposure, words

# OpenSSL's X509_V_ERR_…: what we found of the broker's certificate.
NOT_YET_VALID, EXPIRED = 9, 10
OF_ANOTHER_AUTHORITY = (
    2,
    7,
    18,
    19,
    20,
    21,
)  # none known, a wrong signature, self-signed (alone, in a chain), no issuer
FOR_ANOTHER_NAME = (62, 64)  # a host's name, an address

# OpenSSL's reasons: what the broker found of us, by the alert it sent; and what is no TLS at all.
REASONS = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it refuses cert_file: expired by its clock; issue a new certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it refuses cert_file: revoked; issue a new certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it refuses cert_file: of an authority it does not know; issue one by race control's",
    "TLSV1_ALERT_DECRYPT_ERROR": "it refuses cert_file: not signed by the authority that it names",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses cert_file as bad; issue a new certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it refuses cert_file: not a client's certificate; issue a new one",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses cert_file; its log says why",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate: set cert_file and key_file, or use its other port",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it breaks off; it may ask for a certificate: set cert_file and key_file",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks another version of TLS than 1.2 and 1.3",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS; use the port for TLS, as in port = 8883",
}


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """TLS as soon as a file for it is named; the system's authorities where no ca_file is.

    BrokerRefused if a file can't be read, isn't what it should be, or is a key that others can read.
    """
    if settings.ca_file is None and settings.cert_file is None:
        return None
    says = f"[mqtt] ca_file {settings.ca_file}"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError as error:
        raise BrokerRefused(f"{says}: expected a certificate in PEM") from error
    except OSError as error:
        raise BrokerRefused(f"{says}: {words(error)}") from error
    context.sslsocket_class = _ClosedByFailure
    if settings.cert_file is not None:
        _show_ours(context, settings.cert_file, settings.key_file)
    return context


def tls_trouble(error: ssl.SSLError, where: str, settings: MqttSettings) -> BrokerError:
    """Why there is no TLS with the broker at ``where``, and what to do."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return BrokerUnreachable(f"broker {where}: hung up during the handshake of TLS")
    if isinstance(error, ssl.SSLCertVerificationError):
        found = _of_its_certificate(error, settings)
    else:
        found = REASONS.get(error.reason, f"{error.reason or error}; check ca_file")
    return BrokerRefused(f"broker {where}: no TLS with it: {found}")


def _of_its_certificate(error: ssl.SSLCertVerificationError, settings: MqttSettings) -> str:
    code = error.verify_code
    if code in OF_ANOTHER_AUTHORITY:
        whose = "the authority in ca_file" if settings.ca_file else "an authority that this system knows"
        return f"its certificate is not of {whose}; is this race control's broker, and ca_file its authority's?"
    if code in FOR_ANOTHER_NAME:
        return "its certificate is for another name; use the name that stands in it as host"
    if code == NOT_YET_VALID:
        return "its certificate is not yet valid by this box's clock; look at the clock first: timing-mat clock"
    if code == EXPIRED:
        return "its certificate has expired by this box's clock; look at the clock first, then have it renewed"
    return f"its certificate can't be trusted ({error.verify_message})"


def _show_ours(context: ssl.SSLContext, certificate: Path, key_file: Path | None) -> None:
    """Load the box's own certificate and key; the key may stand in the certificate's file."""
    key = key_file or certificate
    says = f"[mqtt] cert_file {certificate}"
    try:
        certificate.stat()  # the library does not say which of the two files it could not open
        says = f"[mqtt] {'key_file' if key_file else 'cert_file'} {key}"
        if exposed := exposure(key, key.stat()):
            raise BrokerRefused(f"{says}: {exposed}")
        # Without a password a locked key would ask for one on the terminal, and wait.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        expected = "a certificate and its key without a password, both in PEM"
        if error.reason == "KEY_VALUES_MISMATCH":
            expected = "the key that belongs to the certificate"
        raise BrokerRefused(f"[mqtt] cert_file {certificate}, key in {key}: expected {expected}") from error
    except OSError as error:
        raise BrokerRefused(f"{says}: {words(error)}") from error


class _ClosedByFailure(ssl.SSLSocket):
    """paho forgets the socket of a failed handshake, open as it is."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
