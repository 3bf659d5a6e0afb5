"""Has the zygote of kernel.py fork a context that takes over this process's standard streams and directory.

This process then stands for the context: it passes interrupts on, and ends as the context does. It exits with 69 if there
is no zygote. A Python process under software emulation starts slowly, so nothing is imported that is not built in.
"""

import posix
import sys

import _signal
import _socket

UNAVAILABLE = 69


def main():
    zygote = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        zygote.connect("\0cube-interpreter/%d%s" % (posix.getuid(), sys.argv[1]))
    except OSError:
        posix._exit(UNAVAILABLE)
    peer = zygote.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if number(peer[4:8]) != posix.getuid():  # somebody else has taken the address
        posix._exit(UNAVAILABLE)
    fields = b"\0".join([posix.getcwdb(), *(name + b"=" + value for name, value in posix.environ.items())])
    streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
    zygote.sendmsg([len(fields).to_bytes(4, "little")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    zygote.sendall(fields)
    context = number(receive(zygote))
    for fd in (0, 1, 2):  # so that they end when the context's do
        posix.close(fd)
    _signal.signal(_signal.SIGINT, lambda *_: kill(context, _signal.SIGINT))
    _signal.signal(_signal.SIGTERM, lambda *_: kill(context, _signal.SIGTERM))
    status = receive(zygote)
    if not status:  # the zygote is gone, and would not end the context any more
        kill(context, _signal.SIGKILL)
        posix._exit(70)
    code = number(status)
    if code < 0:
        if code != -_signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        posix.kill(posix.getpid(), -code)
    posix._exit(code)


def receive(zygote):
    data = b""
    while len(data) < 4:
        more = zygote.recv(4 - len(data))
        if not more:
            return b""
        data += more
    return data


def number(data):
    if len(data) != 4:
        posix._exit(UNAVAILABLE)
    return int.from_bytes(data, "little", signed=True)


def kill(context, signal):
    try:
        posix.kill(-context, signal)
    except OSError:
        pass


main()
