"""What is wrong is said with what to do about it, before a host is changed."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.ansible.refusal import refused
from tests.system.site import COLLECTION, Site

INSTANCES = {
    "magic": {
        "CELERY_AGENT_TASKS": "magic_consumer.tasks:ActualMagicCeleryTask",
        "CELERY_AGENT_PATH": "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src",
    }
}


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("broker1", "brokers")
    empty.add("node1", "nodes")
    empty.add("producer1", "producers")
    empty.add("newcomer", agent_instances=INSTANCES)
    empty.boot()
    empty.provision()
    return empty


@contextmanager
def instance(site: Site, **variables: str) -> Iterator[None]:
    """Add variables to the instance of node1."""
    path = site.inventory / "host_vars/node1.yml"
    kept = path.read_text()
    path.write_text(kept + "".join(f"    {name}: {json.dumps(value)}\n" for name, value in variables.items()))
    try:
        yield
    finally:
        path.write_text(kept)


def test_a_vault_without_its_password(site: Site) -> None:
    kept, site.secrets = site.secrets, {}
    try:
        refused(site, "site", words="Attempting to decrypt but no vault secrets found")  # docs/operating.md explains it
    finally:
        site.secrets = kept


def test_a_vault_with_a_wrong_password(site: Site) -> None:
    password = site.folder / "vault-password"
    password.write_text("another\n")
    try:
        refused(site, "site", words="Decryption failed")
    finally:
        password.write_text("lab\n")


def test_an_inventory_without_a_secret(site: Site) -> None:
    refused(site, "site", "--extra-vars", "fleet_secret=short", words="Put a long random one into the vault")


def test_an_unknown_setting_of_an_instance(site: Site) -> None:
    with instance(site, CELERY_AGENT_DEFAULTS__POOOL="solo"):
        words = r"agent_instances.magic of node1: line \d+: CELERY_AGENT_DEFAULTS__POOOL is no setting .* Did you mean"
        refused(site, "site", words=words)


def test_a_setting_for_a_queue_that_is_not_hosted(site: Site) -> None:
    with instance(site, CELERY_AGENT_QUEUES__unique_magik_task__PREFETCH="4"):
        played = site.play("agent")
    assert played.status != 0
    assert "Did you mean 'unique_magic_task'?" in played.words
    assert "PREFETCH" not in site.hosts["node1"].run("cat", "/etc/celery-agent/magic.env")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    site.provision("agent")


def test_a_release_that_is_not_there(site: Site) -> None:
    refused(site, "agent", "--extra-vars", "release_folder=/nowhere", words="make release|/nowhere/release.json")


def test_a_broker_that_does_not_answer_on_a_bare_host(site: Site) -> None:
    site.move("newcomer", "nodes")
    try:
        # The broker knows nothing of it yet: its rules drop what comes from there.
        words = "newcomer, tcp: no answer from broker1 .* is this host among its nodes or producers with the address"
        refused(site, "agent", "--limit", "newcomer", words=words)
    finally:
        site.move("newcomer")


def test_a_broker_whose_name_is_not_known(site: Site) -> None:
    nobody = ["--extra-vars", '{"broker_connectivity_hosts": ["broker.invalid"], "broker_connectivity_addresses": {}}']
    refused(site, "agent", *nobody, words="node1, name: broker.invalid has no address")


@pytest.mark.parametrize("name", ["two words", "$HOME", "it's", "end\n"])
def test_a_virtual_host_that_not_all_who_read_the_env_file_read_alike(site: Site, name: str) -> None:
    words = "can't be written into /etc/celery-tasks/broker.env: use letters, digits"
    refused(site, "site", "--extra-vars", json.dumps({"fleet_vhost": name}), words=words)


def test_a_broker_that_is_down(site: Site) -> None:
    broker = site.hosts["broker1"]
    broker.run("systemctl", "stop", "rabbitmq-server")
    try:
        refused(site, "agent", words="node1, tcp: broker1 .* refuses connections. Nothing listens there")
    finally:
        broker.run("systemctl", "start", "rabbitmq-server")


def test_a_certificate_that_has_expired(site: Site) -> None:
    certificate = site.inventory / "authority/broker1.pem"
    kept = certificate.read_text()
    certificate.unlink()
    sign = [
        str(COLLECTION / "roles/authority/files/authority"),
        "certificate",
        str(certificate.with_name("ca")),
        str(certificate.with_suffix("")),
    ]
    subprocess.run([*sign, "-1", "0", "DNS:broker1"], input="four words in a row\n", text=True, check=True)
    try:
        refused(
            site,
            "broker",
            "--skip-tags",
            "authority",
            words=r"broker1.pem: expired on .*; let the role authority renew it",
        )
        broker = site.hosts["broker1"]
        served = broker.run("cat", "/etc/rabbitmq/broker.pem")
        broker.write("/etc/rabbitmq/broker.pem", certificate.read_text(), mode=0o640, group="rabbitmq")
        broker.run("rabbitmqctl", "eval", "ssl:clear_pem_cache().")
        refused(site, "agent", words="node1, tls: broker1: certificate has expired. .*renew it with broker.yml")
        broker.write("/etc/rabbitmq/broker.pem", served, mode=0o640, group="rabbitmq")
        broker.run("rabbitmqctl", "eval", "ssl:clear_pem_cache().")
    finally:
        certificate.write_text(kept)


def test_an_authority_that_hosts_do_not_trust(site: Site) -> None:
    site.provision("broker", "--extra-vars", '{"authority_trusted": ["ca", "other"]}')  # makes it
    untrusting = ["--extra-vars", '{"authority_trusted": ["other"]}']
    refused(site, "agent", *untrusting, words="node1, tls: broker1: .*does not trust who signed it")
    site.provision("broker")


def test_a_wrong_password(site: Site) -> None:
    refused(
        site,
        "agent",
        "--extra-vars",
        "fleet_secret=another-secret-that-is-long",
        words="node1, login: user 'magic.node1' is not let in",
    )


def test_a_user_without_rights_in_its_queue(site: Site) -> None:
    broker = site.hosts["broker1"]
    broker.run("rabbitmqctl", "set_permissions", "-p", "celery", "magic.node1", "^$", "^$", "^$")
    played = site.play("verify", "--limit", "node1")
    site.provision("site")
    assert played.status != 0
    assert "node1, queue: user 'magic.node1' may not read queue 'unique_magic_task'" in played.words


def test_settings_that_rabbitmq_does_not_know(site: Site) -> None:
    broker = site.hosts["broker1"]
    before = broker.run("cat", "/etc/rabbitmq/rabbitmq.conf")
    played = site.play("broker", "--extra-vars", '{"broker_settings": {"hearbeat": 20}}')
    assert played.status != 0
    assert "You've tried to set hearbeat, but there is no setting with that name" in played.words
    assert broker.run("cat", "/etc/rabbitmq/rabbitmq.conf") == before
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
