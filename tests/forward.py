"""Lead connections from one socket to another, as a path out of a network namespace: sockets in files have no network.

python -m tests.forward FROM TO [CERTIFICATE KEY]    FROM, TO: each an address and port, or a file: 10.77.0.1:5672, /tmp/socket

With a certificate and its key, which are files, clients speak TLS as far as here.

SIGUSR1 freezes the connections of that moment: they stay open, and no byte passes. Later ones are led as before.
"""

import asyncio
import signal
import ssl
import sys


async def main(listen: str, target: str, *identity: str) -> None:
    """Serve until the end of the process."""
    copies: set[asyncio.Task[None]] = set()
    frozen: list[object] = []

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await _open(target)
        both = {asyncio.create_task(_copy(reader, there_writer)), asyncio.create_task(_copy(there_reader, writer))}
        copies.update(both)
        await asyncio.wait(both)
        copies.difference_update(both)
        frozen.extend((writer, there_writer))  # closed ones too: it is the reference that keeps the others open

    def freeze() -> None:
        for copy in copies:
            copy.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, freeze)

    host, _, port = listen.rpartition(":")
    if host:
        server = await asyncio.start_server(lead, host, int(port), ssl=_context(*identity) if identity else None)
    else:
        server = await asyncio.start_unix_server(lead, listen)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def _open(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = target.rpartition(":")
    return await (asyncio.open_connection(host, int(port)) if host else asyncio.open_unix_connection(target))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(65_536):
        writer.write(text)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
