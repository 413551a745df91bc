"""A lab: booted Debian hosts on a bridge of their own, from which nothing leads anywhere else.

    this process ── first process of the lab, with br0 10.90.0.1
                     ├── systemd-nspawn ── systemd of a host   10.90.0.11
                     └── systemd-nspawn ── systemd of another  10.90.0.12

    with Lab(folder) as lab:
        broker, node = lab.add("broker", image("broker")), lab.add("node", image())
        lab.start()
        node.run("ping", "-c1", "broker")

What hosts write goes to a tmpfs of the lab, and is gone with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system import machine
from tests.system.host import Host
from tests.system.images import Image
from tests.system.namespaces import Namespaces

SUBNET = "10.90.0"
SUBNET6 = "fd90::"
CONTROL_NODE = f"{SUBNET}.1"  # the lab's own address, from which ssh and Ansible work
FIRST_HOST = 11

_SET_UP = f"""
ip link set lo up
ip link add br0 type bridge
ip address add {CONTROL_NODE}/24 dev br0
ip address add {SUBNET6}1/64 dev br0 nodad
ip link set br0 up
# Where Docker's module is loaded, bridged packets would go through IP rules.
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
nft -f - <<'END'
table bridge lab {{
  set cut {{ type ipv4_addr . ipv4_addr; }}
  chain bridged {{
    type filter hook forward priority 0;
    ip saddr . ip daddr @cut drop;
  }}
}}
END
"""


class Lab:
    """Hosts by name, and the network between them."""

    def __init__(self, folder: Path) -> None:
        """Make a lab without hosts; `folder` takes consoles and the ssh key. Raises machine.Unsuitable."""
        machine.check()
        self.hosts: dict[str, Host] = {}
        self.ssh_config = folder / "ssh_config"
        self._folder = folder
        self._namespaces = Namespaces(_SET_UP, folder / "lab.log")
        key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self._public_key = key.with_suffix(".pub").read_text()
        self.ssh_config.write_text(
            f"Host *\nUser root\nIdentityFile {key}\nIdentitiesOnly yes\nBatchMode yes\nConnectTimeout 10\n"
            "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
        )

    def __enter__(self) -> Self:
        """Use the lab as a context, at whose end it is gone."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, name: str, image: Image) -> Host:
        """Add a host, which may be written to before it is booted; hosts know one another by name."""
        number = FIRST_HOST + len(self.hosts)
        address, address6 = f"{SUBNET}.{number}", f"{SUBNET6}{number}"
        host = Host(name, address, address6, image, self._namespaces, self._folder / f"{name}.console")
        host.write("/etc/systemd/network/10-host0.network", _host0(address, address6))
        host.write("/root/.ssh/authorized_keys", self._public_key, mode=0o600)
        self.hosts[name] = host
        known = "".join(f"{each.address} {each.name}\n" for each in self.hosts.values())
        for each in self.hosts.values():
            each.write("/etc/hosts", f"127.0.0.1 localhost\n{known}")
        return host

    def start(self) -> None:
        """Boot all hosts that are off, at the same time; return when they are up."""
        waiting = [host for host in self.hosts.values() if not host.is_running]
        for host in waiting:
            host.start()
        for host in waiting:
            host.wait_until_booted()

    def enter(self, *command: str) -> list[str]:
        """Return a command that runs this one on the lab's network, with this machine's files; it dies with us."""
        return self._namespaces.enter_network(*command)

    def run(self, *command: str, environment: Mapping[str, str] | None = None, timeout: float = 120.0) -> str:
        """Run a command of this machine on the lab's network; return what it prints. Fails where the command does."""
        done = subprocess.run(
            self.enter(*command),
            env=machine.ENVIRONMENT if environment is None else environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ssh(self, host: Host, command: str, timeout: float = 120.0) -> str:
        """Run a shell command as root over ssh; return what it prints."""
        return self.run("ssh", "-F", str(self.ssh_config), host.address, command, timeout=timeout)

    def partition(self, one: Host, other: Host) -> None:
        """Let nothing through between two hosts, without a word to either."""
        self._cut("add", one, other)

    def heal(self, one: Host, other: Host) -> None:
        """Undo a partition."""
        self._cut("delete", one, other)

    def close(self) -> None:
        """End every host and server, and leave nothing behind but the folder."""
        self._namespaces.close()

    def _cut(self, verb: str, one: Host, other: Host) -> None:
        pairs = f"{{ {one.address} . {other.address}, {other.address} . {one.address} }}"
        self.run("nft", verb, "element", "bridge", "lab", "cut", pairs)


def _host0(address: str, address6: str) -> str:
    return (
        f"[Match]\nName=host0\n\n[Network]\nAddress={address}/24\nAddress={address6}/64\nGateway={CONTROL_NODE}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\nEmitLLDP=no\n"
    )
