"""Django's settings on a node: the broker is where variables say, by TLS, and the password stands in a file."""

import os
import ssl
from pathlib import Path
from urllib.parse import quote

from shop.settings import *  # noqa: F403 - as Django's settings are extended

_user = f"{os.environ['RABBITMQ_USER']}:{quote(Path(os.environ['RABBITMQ_PWD_FILE']).read_text().strip(), safe='')}"
_vhost = quote(os.environ["RABBITMQ_VHOST"], safe="")

CELERY_BROKER_URL = f"amqps://{_user}@{os.environ['RABBITMQ_HOST']}:{os.environ['RABBITMQ_PORT']}/{_vhost}"
CELERY_BROKER_USE_SSL = {
    "ca_certs": os.environ["RABBITMQ_CA_FILE"],
    "cert_reqs": ssl.CERT_REQUIRED,
    "server_hostname": None,  # that of the URL: without this key no name is checked
}
