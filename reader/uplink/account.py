"""Who this box is to the broker: the password, the certificates; read anew at each connect.

So a mended file needs no restart, and a missing one never stops anything but the connection. What stands
in the files is never part of a message.
"""

from __future__ import annotations

import ssl

from reader.config import MqttSettings
from reader.errors import BrokerRefused


def password(settings: MqttSettings) -> str | None:
    """What stands in ``password_file``, without the end of the line. BrokerRefused if it can't be read."""
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise BrokerRefused(f"[mqtt] password_file {settings.password_file}: {words(error)}") from error
    except UnicodeDecodeError:
        raise BrokerRefused(f"[mqtt] password_file {settings.password_file}: expected text in UTF-8") from None


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """TLS as soon as a file for it is named; the system's authorities where no ca_file is.

    BrokerRefused if a file can't be read or isn't what it should be.
    """
    if settings.ca_file is None and settings.cert_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.sslsocket_class = _ClosedByFailure
        if settings.cert_file is not None:
            # Without a password a locked key would ask for one on the terminal, and wait.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except OSError as error:
        names = ", ".join(str(name) for name in (settings.ca_file, settings.cert_file, settings.key_file) if name)
        raise BrokerRefused(f"[mqtt] certificates ({names}): {words(error)}") from error
    return context


def words(error: Exception) -> str:
    """A system's or library's error, as short as it can be said."""
    if isinstance(error, TimeoutError):
        return "nothing answers there"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class _ClosedByFailure(ssl.SSLSocket):
    """paho forgets the socket of a failed handshake, open as it is."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
