"""Inside the sandbox: leads ports of 127.0.0.1 to unix sockets of the worker, and becomes the program that follows.

forward.py PORT=SOCKET... -- PROGRAM ARG...
The ports are open before the program begins. What forwards is a child, which ends with the sandbox.
"""

import _socket
import os
import sys


def pump(source, target):
    import socket

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
    import socket
    import threading

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
    import socket
    import threading

    listener = socket.socket(fileno=descriptor)
    while True:
        inner, _ = listener.accept()
        try:
            threading.Thread(target=lead, args=(inner, path), daemon=True).start()
        except RuntimeError:
            inner.close()


def serve_all(listeners):
    import threading

    for one in listeners[1:]:
        threading.Thread(target=serve, args=one, daemon=True).start()
    serve(*listeners[0])


def main():
    split = sys.argv.index("--")
    program = sys.argv[split + 1 :]
    listeners = []
    # What the program waits for is kept short: the modules above it are loaded by the child, when they are needed.
    for exit in sys.argv[1:split]:
        port, path = exit.split("=", 1)
        listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(64)
        listeners.append((listener.detach(), path))
    if os.fork() > 0:
        os.execv(program[0], program)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    own = [descriptor for descriptor, _ in listeners]
    for descriptor in range(3, 32):
        if descriptor not in own:
            try:
                os.close(descriptor)
            except OSError:
                pass
    serve_all(listeners)


main()
