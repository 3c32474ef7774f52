"""Calls home: over the loopback, over sockets without a file, by name, by number, through a pair of its own."""

import socket


def connect(family, kind, address):
    with socket.socket(family, kind) as client:
        client.settimeout(0.2)
        client.connect(address)
        client.send(b"the answers")


WAYS = {
    "loopback": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int("<port>"))),
    "loopback, version 6": lambda: connect(socket.AF_INET6, socket.SOCK_STREAM, ("::1", int("<port>"))),
    "datagram": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", int("<port>"))),
    "abstract name": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0<socket>"),
    "path": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "<class>/socket"),
    "listening": lambda: socket.create_server(("127.0.0.1", 0)),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0)),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "the machine itself": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "a name": lambda: socket.create_connection(("localhost", int("<port>")), 0.2),
}


def invert_mask(mask):
    worked = []
    for name, way in WAYS.items():
        try:
            way()
            worked.append(name)
        except OSError:
            pass
    raise RuntimeError(f"worked: {worked}")
