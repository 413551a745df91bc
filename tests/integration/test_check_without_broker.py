"""`agent check --without-broker`, as the CI of a repository has it: where code is tested there is no broker."""

from tests.node import Node


def test_no_broker_is_reached_for_and_what_can_t_be_run_is_told(node: Node) -> None:
    node.variables = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "9"}
    node.configure("alpha")
    alone = ("check", "--without-broker", "--env-file", str(node.env_file))
    assert node.run("check", "magic").returncode == 1
    done = node.run(*alone)
    assert (done.returncode, "  broker  " in done.stdout) == (0, False), done.stdout
    (node.code / "greek.py").write_text("import nowhere\n")
    done = node.run(*alone)
    assert done.returncode == 78
    assert "No module named 'nowhere'" in done.stdout
