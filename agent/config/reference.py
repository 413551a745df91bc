"""The reference of all settings, made from their definition: what each is called in an env file, takes and means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from pydantic import BaseModel

from agent.config.settings import QueueSettings, Settings
from agent.config.variables import DEFAULTS, PREFIX, QUEUES, SEPARATOR
from agent.guest.values import dataclass

WIDTH = 100  # of the example's comments

# What an example shows where there is no default that could be written.
_SAMPLES = {
    "tasks": "magic_consumer.tasks:ActualMagicCeleryTask",
    "app": "proj.celery:app",
    "consume": "mail,reports",
    "schedule": "proj.schedule:ENTRIES",
    "sends": "resize,notify",
    "path": "/srv/consumer/src:/srv/consumer",
    "preload": "sqlalchemy",
    "python": "/srv/consumer/venv/bin/python",
}
_NEEDED = "tasks"  # what the example does not comment out
_OWN_PYTHON = "the agent's own"

_PREFACE = """
# Settings

<!-- Made by `agent config --markdown` from agent/config/settings.py: change it there. -->

An instance is configured by its env file, `/etc/celery-agent/INSTANCE.env`. `agent check INSTANCE` tells what is wrong
with it, `agent config INSTANCE` what it comes to, and `agent reload INSTANCE` has a running agent read it again.

The file has lines of `NAME=value`, with quotes and `# comments` as a shell has them, and no `$` expansion. In double quotes
`\\\\` is a backslash and `\\"` a quote. Of two lines for one name the last counts, and `agent check` warns. Names that begin
with `CELERY_AGENT_` are the agent's settings, described below. All other names are handed on to the tasks, together with the
environment of the agent itself; [what `celery_tasks/` reads of them](#what-celery_tasks-reads) stands at the end.

Other programs may read the file too, such as a shell by `set -a; . FILE`. All read `NAME='value'` alike, with comments on lines
of their own. A line that both a shell and systemd's `EnvironmentFile=` would read otherwise than the agent is refused, such as
one with a backslash outside of quotes. Of what a shell alone takes for something else `agent check` warns: `$`, spaces and the
like without single quotes. systemd alone takes a `# comment` behind a value for a part of it, ignores lines with `export`, and
adds the next line to a comment that ends with a backslash.

Three variables are read from the agent's own environment instead. Two say where everything else is:
`CELERY_AGENT_CONFIG_DIR` (default `/etc/celery-agent`) and `CELERY_AGENT_RUNTIME_DIR` (default `/run/celery-agent`). The third,
`CELERY_AGENT_OPERATORS`, is a group whose members may ask the agent (`agent status`, `agent reload`), beside those of its
user's own group. There is none by default; the systemd unit names `celery-agent`.

Secrets need not be in the file: each credential `NAME` of the systemd unit is found by the tasks as the file that the variable
`NAME_FILE` names, unless the env file sets that variable itself. `deploy/systemd/dropins/credentials.conf` has the lines.
"""

_SHARED = """
## What `celery_tasks/` reads

Producers and consumers read where the broker is, and what is promised about a task, from these variables. The agent hands
them on. They have an effect where the settings module asks for them, as the one in `celery_tasks/` does; a settings module
of your own may have these values in its code instead. [broker.md](broker.md) has more about the broker, and
[delivery.md](delivery.md) about promises and results.

| variable | default | what it says |
|---|---|---|
| `RABBITMQ_HOST` | `localhost` | the broker, `host` or `host:port`; several with commas between them |
| `RABBITMQ_PORT` | 5672, with TLS 5671 | the port of hosts that name none |
| `RABBITMQ_VHOST` | `/` | the virtual host |
| `RABBITMQ_USER` | `guest` | the user, whom RabbitMQ must know |
| `RABBITMQ_PWD` | `guest` | the user's password |
| `RABBITMQ_PWD_FILE` | empty | a file with the password; it wins over `RABBITMQ_PWD` |
| `RABBITMQ_TLS` | `0` | `1`: speak TLS |
| `RABBITMQ_CA_FILE` | those of the system | with TLS: the authorities to trust |
| `RABBITMQ_CERT_FILE`, `RABBITMQ_KEY_FILE` | empty | with TLS: own certificate and key, where the broker asks for one |
| `CELERY_TASKS_DELIVERY` | `safe` | what is promised about a task: `safe` or `article` |
| `CELERY_TASKS_RESULTS` | `rpc` | where results go: `rpc`, `redis://…`, `db+…://…` or `off` |
| `CELERY_TASKS_DECLARE` | `1` | `0`: the operator has declared all queues, and clients declare none ([broker.md](broker.md)) |
| `CELERY_TASKS_BROKER` | empty | `embedded`: a folder in place of RabbitMQ, for trying out |

`CELERY_TASKS_BROKER=embedded` takes the folder `celery-tasks-UID` below the system's temporary folder (`/tmp`, unless `TMPDIR`
names another). All programs of a user that say `embedded` share it, so what one project left there is seen by the next. For a
folder of your own, say `embedded:///srv/trial` on both sides. The folder is made for its user alone, who is the same on both
sides. Who else could write there would decide what is run; so a folder of another user, one that others may change, and a link,
anywhere on the path, are refused, for root too. The embedded broker promises nothing: a task that a killed worker had is lost.
"""

_JSON = """
## As JSON

`agent check --json` prints `{"schema": 1, "instances": […]}`. Each instance has its name as `instance`, the
`exit_status` that it alone would give, and `findings` in the order of looking, each with

- `level`: `ok`, `warn` or `FAIL`;
- `subject`: `env file`, `user`, `settings`, `python`, `tasks`, `queue`, `app`, `delivery`, `broker`, `letters`, `results`, or
  `running`: what the instance does that runs by this name now, or that none does, of which the exit status tells nothing;
- `text`: one line: what, where, and what to do;
- `detail`: a traceback or what user code printed, often empty.

`agent config INSTANCE --json` prints `schema` (1), `env_file`, the settings above by their names in lower case,
`defaults`, `queues` (what the file sets for single queues), and `handed_on`: the names of the other variables.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting.

    field: the name of the field.
    default: as it would be written in an env file.
    takes: what it takes, to be read after "must be".
    text: what it is, its unit, and why this default; one paragraph.
    """

    field: str
    default: str
    takes: str
    text: str

    @property
    def name(self) -> str:
        """The last part of the variable's name."""
        return self.field.upper()


def agent_entries() -> tuple[Entry, ...]:
    """Return the settings of an instance as a whole."""
    return tuple(entry for entry in _entries(Settings) if entry.field not in ("defaults", "queues"))


def queue_entries() -> tuple[Entry, ...]:
    """Return the settings of a queue."""
    return tuple(_entries(QueueSettings))


def entry(field: str) -> Entry:
    """Return the setting of an instance or a queue by the name of its field."""
    return next(each for each in (*agent_entries(), *queue_entries()) if each.field == field)


def queues_text() -> str:
    """Return how settings of every queue, and of a single one, are written."""
    fields = Settings.model_fields
    return _paragraph(f"{fields['defaults'].description} {fields['queues'].description}")


def markdown() -> str:
    """Return the reference as `docs/settings.md`."""
    sections = [
        _PREFACE,
        "## The instance",
        *(_section(f"{PREFIX}{each.name}", each) for each in agent_entries()),
        "## The queues",
        queues_text().replace("<", "\\<"),
        *(_section(each.name, each) for each in queue_entries()),
        _SHARED,
        _JSON,
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def example() -> str:
    """Return an env file that names every setting, with its default commented out."""
    lines = [
        *_comment(
            "Settings of a celery-agent instance: /etc/celery-agent/INSTANCE.env. Made by `agent config --example`."
        ),
        *_comment(
            "Lines that begin with '#CELERY' show defaults, or samples of what has none. "
            "`agent check INSTANCE` tells what is wrong with the file."
        ),
    ]
    for each in agent_entries():
        lines += ["", *_comment(each.text), *_assignment(f"{PREFIX}{each.name}", each)]
    lines += ["", *_comment(queues_text())]
    for each in queue_entries():
        lines += ["", *_comment(each.text), *_assignment(f"{DEFAULTS}{SEPARATOR}{each.name}", each)]
    lines += [
        "",
        f"#{QUEUES}{SEPARATOR}unique_magic_task{SEPARATOR}CONCURRENCY=4",
        "",
        *_comment("Everything else is handed on to the tasks. What celery_tasks/ reads:"),
        "#RABBITMQ_HOST=localhost",
        "#RABBITMQ_PORT=5672",
        "#RABBITMQ_VHOST=/",
        "#RABBITMQ_USER=guest",
        "#RABBITMQ_PWD_FILE=/etc/celery-agent/magic.password",
        "#RABBITMQ_TLS=1",
        "#RABBITMQ_CA_FILE=/etc/ssl/certs/ca-certificates.crt",
        "#CELERY_TASKS_DELIVERY=safe",
        "#CELERY_TASKS_RESULTS=rpc",
        "#CELERY_TASKS_DECLARE=1",
        *_comment("Or no RabbitMQ at all, to try things out:"),
        "#CELERY_TASKS_BROKER=embedded",
    ]
    return "\n".join(lines) + "\n"


def _entries(model: type[BaseModel]) -> Iterator[Entry]:
    schema = model.model_json_schema()
    for field, info in model.model_fields.items():
        yield Entry(
            field=field,
            default=_written(field, info.default),
            takes=_takes(field, schema["properties"][field], schema.get("$defs", {})),
            text=_paragraph(info.description),
        )


def _written(field: str, default: object) -> str:
    if field == "python":
        return _OWN_PYTHON
    if default in (None, ()):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _takes(field: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        definition = definitions[schema["$ref"].rpartition("/")[2]]
        return "one of " + ", ".join(definition["enum"]) if "enum" in definition else "settings"
    if "anyOf" in schema:
        return _takes(field, schema["anyOf"][0], definitions) + ", or empty"
    match schema["type"]:
        case "integer":
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "number":
            return f"a number of seconds above {schema['exclusiveMinimum']}, at most {schema['maximum']}"
        case "array":
            return {
                "tasks": "task classes",
                "consume": "names of queues",
                "sends": "names of tasks",
                "path": "folders",
                "preload": "modules",
            }[field]
        case "string":
            return {
                "app": "the name of a Celery app",
                "schedule": "the name of entries, or `app`",
                "python": "the path of a Python interpreter",
                "celery_config": "the name of a module",
            }[field]
        case kind:
            return str(kind)


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _section(name: str, each: Entry) -> str:
    if each.default == _OWN_PYTHON:
        default = f"default: {_OWN_PYTHON}"
    else:
        default = f"default: `{each.default}`" if each.default else "default: empty"
    return f"### `{name}`\n\nTakes {each.takes}; {default}.\n\n{each.text}"


def _comment(text: str) -> list[str]:
    return wrap(
        text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False
    )


def _assignment(name: str, each: Entry) -> list[str]:
    value = _SAMPLES.get(each.field, each.default)
    return [f"{name}={value}" if each.field == _NEEDED else f"#{name}={value}"]
