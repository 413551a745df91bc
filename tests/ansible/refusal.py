"""What a playbook refuses, and that it has touched nothing."""

import re

from tests.system.site import Played, Site

FILES = (
    "find /etc /opt /usr/local /var/lib/celery-agent /run/systemd/system -newer /run/mark -type f ! -path '*/.cache/*'"
)


def refused(site: Site, playbook: str, *arguments: str, words: str) -> Played:
    """Play what must fail; check that it says these words and that no host was changed."""
    for host in site.hosts.values():
        host.run("touch", "/run/mark")
    played = site.play(playbook, *arguments)
    assert played.status != 0
    assert re.search(words, played.words), played.output[-4000:]
    assert set(played.changed.values()) <= {0}
    for host in site.hosts.values():
        assert host.attempt("sh", "-c", FILES).stdout == ""
    return played
