"""The version of the agent; a constant, because looking it up in the package's metadata costs the daemon 10 ms and 1 MB."""

VERSION = "0.1.0"
