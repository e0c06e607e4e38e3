"""Inside the sandbox: leads ports of 127.0.0.1 to unix sockets of the worker. The ports are open: lead.pl has become this.

forward.py DESCRIPTOR=SOCKET...
"""

import socket
import sys
import threading


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one, how in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
        try:
            one.shutdown(how)
        except OSError:
            pass


def lead(inner, path):
    outer = socket.socket(socket.AF_UNIX)
    try:
        outer.connect(path)
        back = threading.Thread(target=pump, args=(outer, inner), daemon=True)
        back.start()
        pump(inner, outer)
        back.join()
    except (OSError, RuntimeError):
        pass
    inner.close()
    outer.close()


def serve(descriptor, path):
    listener = socket.socket(fileno=int(descriptor))
    while True:
        inner, _ = listener.accept()
        try:
            threading.Thread(target=lead, args=(inner, path), daemon=True).start()
        except RuntimeError:
            inner.close()


exits = [exit.split("=", 1) for exit in sys.argv[1:]]
for one in exits[1:]:
    threading.Thread(target=serve, args=one, daemon=True).start()
serve(*exits[0])
