#!/usr/bin/env python3
"""Goes all the way that a Celery worker goes to its broker, step by step, and says where it ends and what to do.

    name → tcp → tls → login → queue

It needs Python and nothing else, so that it runs on a bare host before anything is changed there, and it leaves nothing
behind on the broker. Standard input is one JSON object:

    host        the broker's name, which its certificate must be for
    address     connect to this address instead of asking the name service; null to ask it
    port        5671 with TLS
    ca          PEM text of the authorities to trust; null for no TLS
    user, password, vhost
    read        queues that the user must be allowed to consume from
    timeout     seconds for each step

Standard output is one JSON object: {"reached": step, "failed": step or null, "text": …, "advice": …}. Exit status 1 where
a step failed.
"""

import json
import socket
import ssl
import struct
import sys

STEPS = ("name", "tcp", "tls", "login", "queue")

_CLIENT = {"product": "celery-agent probe", "capabilities": {"authentication_failure_close": True}}
_METHOD, _HEARTBEAT, _END = 1, 8, 0xCE
_START, _START_OK, _TUNE, _TUNE_OK, _OPEN, _OPEN_OK, _CLOSE, _CLOSE_OK = (
    (10, n) for n in (10, 11, 30, 31, 40, 41, 50, 51)
)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK, _CHANNEL_CLOSE, _CHANNEL_CLOSE_OK = ((20, n) for n in (10, 11, 40, 41))
_CONSUME, _CANCEL = (60, 20), (60, 30)
_ACCESS_REFUSED, _NOT_FOUND, _PRECONDITION_FAILED, _NOT_ALLOWED = 403, 404, 406, 530

# What OpenSSL says of a certificate, X509_V_ERR_* in openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _UNKNOWN_ISSUERS, _OTHER_NAMES = 9, 10, 18, {19, 20, 21}, {62, 64}


class Failure(Exception):
    """A step that failed: which, what was seen, what to do."""

    def __init__(self, step, text, advice):
        super().__init__(text)
        self.step, self.text, self.advice = step, text, advice


class Refused(Exception):
    """The broker closed the connection or the channel, with a code of AMQP 0-9-1 and its text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


def probe(wanted):
    """Go all steps; raises Failure at the first that fails."""
    address = _resolve(wanted)
    with _connect(wanted, address) as plain, _secured(wanted, plain) as stream:
        connection = Connection(stream)
        _log_in(wanted, connection)
        for queue in wanted["read"]:
            _may_read(wanted, connection, queue)
        connection.close()


def _resolve(wanted):
    if wanted.get("address"):
        return wanted["address"]
    try:
        found = socket.getaddrinfo(wanted["host"], wanted["port"], type=socket.SOCK_STREAM)
    except OSError as error:
        advice = f"Enter {wanted['host']} into the name service, or give its address in broker_connectivity_addresses."
        raise Failure("name", f"{wanted['host']} has no address: {error.strerror}", advice) from None
    return found[0][4][0]


def _connect(wanted, address):
    target = f"{wanted['host']} ({address}) port {wanted['port']}"
    try:
        return socket.create_connection((address, wanted["port"]), wanted["timeout"])
    except TimeoutError:
        own = _own_address(address)
        advice = (
            f"Is that host up? A firewall that drops looks the same: the broker lets in what the inventory names, so is this "
            f"host among its nodes or producers with the address {own}, and was site.yml run for the broker since?"
        )
        raise Failure("tcp", f"no answer from {target} within {wanted['timeout']:g} s", advice) from None
    except ConnectionRefusedError:
        advice = "Nothing listens there: start rabbitmq-server on the broker, or correct the port."
        raise Failure("tcp", f"{target} refuses connections", advice) from None
    except OSError as error:
        raise Failure("tcp", f"{target}: {error.strerror}", f"Is there a route to {address}? See: ip route") from None


def _own_address(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as towards:
        try:
            towards.connect((address, 9))  # sends nothing, but chooses the source address
            return towards.getsockname()[0]
        except OSError:
            return "that it has there"


def _secured(wanted, plain):
    if wanted["ca"] is None:
        return plain
    try:
        context = ssl.create_default_context(cadata=wanted["ca"])
    except ssl.SSLError as error:
        raise Failure(
            "tls", f"the file of authorities is no PEM text: {error}", "Correct broker_connectivity_ca."
        ) from None
    try:
        return context.wrap_socket(plain, server_hostname=wanted["host"])
    except ssl.SSLCertVerificationError as error:
        raise Failure(
            "tls", f"{wanted['host']}: {error.verify_message}", _advice_on_certificate(wanted, error)
        ) from None
    except ssl.SSLError as error:
        advice = "It does not speak TLS, or no version that this host speaks: is it the port for TLS (5671)?"
        raise Failure("tls", f"{wanted['host']} port {wanted['port']}: {error.reason or error}", advice) from None
    except OSError as error:
        advice = "It hung up during the handshake: see the broker's log; its certificate or key may not be readable."
        raise Failure("tls", f"{wanted['host']} port {wanted['port']}: {error}", advice) from None


def _advice_on_certificate(wanted, error):
    if error.verify_code == _EXPIRED:
        return "Its certificate, or that of the authority, has expired: renew it with broker.yml, which signs anew in time."
    if error.verify_code == _NOT_YET_VALID:
        return "Its certificate is for the future: compare the clocks of this host, the broker and the controller."
    if error.verify_code in {_SELF_SIGNED, *_UNKNOWN_ISSUERS}:
        return "This host does not trust who signed it: add that authority to authority_trusted, and run site.yml."
    if error.verify_code in _OTHER_NAMES:
        return f"It is for other names: add {wanted['host']} to the broker's names and run broker.yml."
    return "Compare what the broker presents (openssl s_client -connect) with the authorities that are trusted here."


def _log_in(wanted, connection):
    who = f"user {wanted['user']!r}"
    try:
        connection.log_in(wanted["user"], wanted["password"])
    except Refused as error:
        if error.code != _ACCESS_REFUSED:
            raise Failure("login", f"{who}: {error.text}", "Look into the broker's log.") from None
        advice = (
            "The broker knows no such user, or another password: run site.yml for the broker, which makes both equal."
        )
        raise Failure("login", f"{who} is not let in: {error.text}", advice) from None
    except (OSError, EOFError) as error:
        advice = "It hung up before the login: does another protocol than AMQP listen there? See the broker's log."
        raise Failure("login", f"{who}: {error or 'the connection was closed'}", advice) from None
    try:
        connection.open(wanted["vhost"])
    except Refused as error:
        advice = "The virtual host is missing or the user has no rights in it: run site.yml for the broker."
        raise Failure(
            "login", f"{who} may not use the virtual host {wanted['vhost']!r}: {error.text}", advice
        ) from None


def _may_read(wanted, connection, queue):
    """Ask for a consumer that can't be: the right to read is looked at before the arguments are (RabbitMQ 3.10 to 4).

    A real consumer would be handed tasks, and handing them back counts as a delivery.
    """
    refusal = connection.refusal_of_consumer(queue)
    if refusal.code == _ACCESS_REFUSED:
        advice = "Its rights lack this queue: run site.yml for the node and the broker, which declare them from its instances."
        raise Failure("queue", f"user {wanted['user']!r} may not read queue {queue!r}: {refusal.text}", advice)
    if refusal.code == _NOT_FOUND:
        advice = "Nobody has declared it: run site.yml for the node and the broker."
        raise Failure("queue", f"there is no queue {queue!r}", advice)
    if refusal.code != _PRECONDITION_FAILED:
        raise Failure("queue", f"queue {queue!r}: {refusal.text}", "Look into the broker's log.")


class Connection:
    """As much of AMQP 0-9-1 as a login and a question take."""

    def __init__(self, stream):
        self._stream = stream
        self._channel = 0

    def log_in(self, user, password):
        """Start a connection; raises Refused for credentials that the broker does not take."""
        self._stream.sendall(b"AMQP\0\0\x09\x01")
        self._expect(0, _START)
        response = b"\0" + user.encode() + b"\0" + password.encode()
        self._send(0, _START_OK, _table(_CLIENT) + _short("PLAIN") + _long(response) + _short("en_US"))
        tuning = self._expect(0, _TUNE)
        self._send(0, _TUNE_OK, tuning[:8])

    def open(self, vhost):
        """Enter a virtual host; raises Refused."""
        self._send(0, _OPEN, _short(vhost) + _short("") + b"\0")
        self._expect(0, _OPEN_OK)

    def refusal_of_consumer(self, queue):
        """Return why the broker refuses a consumer of a queue whose priority is no number."""
        self._channel += 1
        self._send(self._channel, _CHANNEL_OPEN, _short(""))
        self._expect(self._channel, _CHANNEL_OPEN_OK)
        arguments = struct.pack(">H", 0) + _short(queue) + _short("probe") + b"\0" + _table({"x-priority": "none"})
        self._send(self._channel, _CONSUME, arguments)
        try:
            self._expect(self._channel, _CHANNEL_CLOSE)
        except Refused as refusal:
            return refusal
        raise AssertionError("unreachable: _expect raises for a close")

    def close(self):
        """Say goodbye, so that the broker logs no lost connection."""
        self._send(0, _CLOSE, struct.pack(">H", 200) + _short("") + struct.pack(">HH", 0, 0))
        self._expect(0, _CLOSE_OK)

    def _send(self, channel, method, arguments):
        payload = struct.pack(">HH", *method) + arguments
        self._stream.sendall(struct.pack(">BHI", _METHOD, channel, len(payload)) + payload + bytes([_END]))

    def _expect(self, channel, method):
        """Return the arguments of the method that must come next; raises Refused where a close comes instead."""
        while True:
            kind, at, size = struct.unpack(">BHI", self._receive(7))
            payload = self._receive(size + 1)[:-1]
            if kind == _HEARTBEAT:
                continue
            came = struct.unpack_from(">HH", payload)
            if came in {_CLOSE, _CHANNEL_CLOSE}:
                self._send(at, _CLOSE_OK if came == _CLOSE else _CHANNEL_CLOSE_OK, b"")
                (code,), length = struct.unpack_from(">H", payload, 4), payload[6]
                raise Refused(code, payload[7 : 7 + length].decode(errors="replace"))
            if kind != _METHOD or at != channel or came != method:
                raise EOFError(f"the broker answered with {came}, not {method}")
            return payload[4:]

    def _receive(self, size):
        received = b""
        while len(received) < size:
            part = self._stream.recv(size - len(received))
            if not part:
                raise EOFError("the broker closed the connection")
            received += part
        return received


def _short(text):
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


def _long(content):
    return struct.pack(">I", len(content)) + content


def _table(values):
    fields = b"".join(_short(name) + _field(value) for name, value in values.items())
    return _long(fields)


def _field(value):
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, dict):
        return b"F" + _table(value)
    return b"S" + _long(value.encode())


def main():
    """Probe what standard input asks for."""
    wanted = json.load(sys.stdin)
    try:
        probe(wanted)
    except Failure as failure:
        reached = STEPS[STEPS.index(failure.step) - 1] if failure.step != STEPS[0] else None
        print(json.dumps({"reached": reached, "failed": failure.step, "text": failure.text, "advice": failure.advice}))
        return 1
    print(json.dumps({"reached": STEPS[-1] if wanted["read"] else "login", "failed": None, "text": "", "advice": ""}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
