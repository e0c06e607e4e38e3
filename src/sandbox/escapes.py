"""Tries to get out of the sandbox that it is run in. Prints, as JSON, the names of the ways that it has found.

Whatever it does succeeds in a sandbox that is none, on somebody's machine: it harms nothing, and leaves nothing behind.
"""

import ctypes
import json
import os
import socket
import sys
import tempfile
import time

given = json.load(sys.stdin)
secret = given["secret"]
found = []


def attempt(name):
    def decorate(way):
        try:
            if way():
                found.append(name)
        except Exception:
            pass
        return way

    return decorate


def holds_secret(path):
    with open(path, "rb") as file:
        return secret.encode() in file.read(1_000_000)


@attempt("host files")
def _():
    return holds_secret(given["file"])


@attempt("writing to its code")
def _():
    with open("new", "w"):
        pass
    os.remove("new")
    return True


@attempt("writing beside /tmp")
def _():
    for folder in ("/", "/usr", "/etc", "/opt"):
        path = os.path.join(folder, given["abstract"])
        try:
            with open(path, "w"):
                pass
            os.remove(path)
            return True
        except OSError:
            pass


@attempt("network")
def _():
    with socket.create_connection(("127.0.0.1", given["port"]), timeout=2):
        return True


@attempt("network interfaces")
def _():
    with open("/proc/net/dev") as file:
        return len(file.read().strip().split("\n")) > 3


@attempt("sockets of the host")
def _():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + given["abstract"])
        return True


def is_worker(pid):
    """By its command: where the worker is the first process of a container, the first of a job has its number."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="latin-1") as file:
            return file.read() == given["command"]
    except OSError:
        return False


@attempt("other processes")
def _():
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    return any(is_worker(pid) for pid in pids) or len(pids) > 12


@attempt("signals to other processes")
def _():
    os.kill(given["pid"], 0)
    return is_worker(given["pid"]) or not os.path.exists(f"/proc/{given['pid']}")


@attempt("environment")
def _():
    if secret in str(dict(os.environ)):
        return True
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and holds_secret(f"/proc/{name}/environ"):
                return True
        except OSError:
            pass


@attempt("privileges")
def _():
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().split("\n") if ":\t" in line)
    return os.getuid() == 0 or int(status["CapEff"], 16) != 0 or status["NoNewPrivs"].strip() != "1"


@attempt("becoming root")
def _():
    os.setuid(0)
    return True


@attempt("user namespaces")
def _():
    if os.fork() == 0:
        os._exit(7 if ctypes.CDLL(None).unshare(0x10000000) == 0 else 0)
    return os.waitstatus_to_exitcode(os.wait()[1]) == 7


@attempt("mounts")
def _():
    # Nowhere that matters: where it succeeds, that is the machine of the operator.
    with tempfile.TemporaryDirectory() as folder:
        libc = ctypes.CDLL(None)
        if libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) != 0:
            return False
        libc.umount2(folder.encode(), 2)
        return True


@attempt("devices")
def _():
    return any(os.path.exists(f"/dev/{name}") for name in ("sda", "vda", "mem", "kmsg", "fuse"))


def fills(place):
    block = b"x" * 1_000_000
    with tempfile.TemporaryDirectory(dir=place) as folder:
        for part in range(8):
            with open(os.path.join(folder, str(part)), "wb") as file:
                for _ in range(1 + given["disk_bytes"] // 4_000_000):
                    file.write(block)
        return True


@attempt("disk")
def _():
    return fills("/tmp")


@attempt("disk of /dev")
def _():
    return fills("/dev")


@attempt("disk of /dev/shm")
def _():
    return fills("/dev/shm")


# Numbers of system calls. Where they are others, there is no filter.
calls = {
    "x86_64": {"keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425},
    "aarch64": {"keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425},
}.get(os.uname().machine, {})


@attempt("system calls")
def _():
    # Each is asked for what there is not: the kernel says another error than the filter, and does nothing.
    libc = ctypes.CDLL(None, use_errno=True)
    for number in calls.values():
        libc.syscall(number, -1, 0, 0, -1, -1)
        if ctypes.get_errno() not in (1, 38):
            return True


@attempt("sockets of other machines")
def _():
    if not calls:
        return False
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return True


@attempt("processes without end")
def _():
    children = []
    try:
        while len(children) <= given["processes"]:
            child = os.fork()
            if child == 0:
                time.sleep(5)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, 9)
    return len(children) > given["processes"]


print(json.dumps(found))
