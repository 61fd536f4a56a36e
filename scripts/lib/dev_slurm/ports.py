"""Ports that nobody listens on."""

import random
import socket

from .words import Stop

FIRST, LAST = 20000, 32000  # below those that Linux hands out by itself


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row. By chance, so that two clusters made at once do not meet."""
    for _ in range(50):
        first = random.randrange(FIRST, LAST - count)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise Stop(f"You need {count} free ports in a row, but none were found between {FIRST} and {LAST}.")


def is_free(port: int) -> bool:
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            line.bind(("", port))
        except OSError:
            return False
    return True
