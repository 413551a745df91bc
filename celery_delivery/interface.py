"""The number of this library's interface, which an agent asks for before it starts anything.

It grows when an agent that was written for the old number could no longer use the library.
"""

INTERFACE = 1
