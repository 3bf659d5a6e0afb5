"""A Python context of the code interpreter: one process, IPython inside, JSON lines on its standard streams.

The host writes requests to standard input, one JSON object a line:
    {"op": "execute", "id": ID, "code": CODE, "env": {NAME: VALUE}}     runs a cell
    {"op": "warm", "id": ID, "plain": BOOL}       runs typical cells, or only those without libraries, and forgets them
    {"op": "zygote", "id": ID}                    leaves a copy of the process as it is, from which others are forked
and reads events from standard output, one JSON object a line:
    {"type": "ready"}                       once, when requests are taken
    {"type": "fatal", "message": TEXT}      once instead, and the process ends
    {"type": "begin", "id": ID, "count": N} an execution starts; an empty line goes before it, so that a reader that
                                            joined in the middle of an older line finds its way
    {"type": "stdout" | "stderr", "text": TEXT}
    {"type": "result", "main": BOOL, "data": {MIME TYPE: VALUE}}
    {"type": "error", "name": TEXT, "value": TEXT, "traceback": TEXT}
    {"type": "end", "id": ID}
SIGINT interrupts the cell that runs and is ignored between cells. End of input ends the process.

To import IPython takes seconds in a guest without hardware virtualisation. The first context therefore leaves a copy of
itself behind, the zygote, before a user's code has run in it. Further contexts are forks of that one: the host starts
connect.py, which hands its standard streams over.

Guest code can be an order of magnitude slower than native, so the way of a plain cell is kept short: no thread is
started and none is woken unless the cell prints, and a cell's events leave in one write.
"""

import atexit
import base64
import codecs
import fcntl
import gc
import importlib.util
import io
import json
import math
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

CHUNK_CHARS = 16 * 1024          # most text in one stdout or stderr event
SEND_BYTES = 128 * 1024          # unsent events that are worth a write of their own
RESULT_BYTES = 32 * 1024 * 1024  # longest result event; the host takes no longer line
FLUSH_SECONDS = 0.05             # longest wait of printed text
SETTLING_ROUNDS = 5
DATA_CELLS = 1_000_000           # largest table whose cells are sent as data
PRIVATE_FD = 500                 # descriptors below are what a program may expect to get

MAIN_PID = os.getpid()
ASYNC_SIGNALS = [signal.SIGINT, signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                 signal.SIGCHLD]
quote = json.encoder.encode_basestring


def private(fd):
    """A duplicate of a descriptor that no program meets by accident and no child inherits."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FD)
    except OSError:  # a limit on open files below that
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


class Output:
    """What a cell says, in order: text printed in Python, text that children write to descriptors 1 and 2, events."""

    def __init__(self, events_fd):
        self.open(events_fd)
        os.register_at_fork(after_in_child=self.in_child)

    def open(self, events_fd):
        self.fd = events_fd
        self.lock = threading.RLock()
        self.lines = []
        self.size = 0
        self.kind = None
        self.text = []
        self.chars = 0
        self.running = False
        self.armed = False
        self.since = 0.0
        self.muted = False
        self.interrupted = False
        self.forked = False
        self.own = [events_fd]
        self.capture()
        read, write = os.pipe()
        self.wake_read, self.wake_write = private(read), private(write)
        os.close(read)
        os.close(write)
        self.own += [self.wake_read, self.wake_write]
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def capture(self):
        """Redirects descriptors 1 and 2 to pipes of our own, so that what children print arrives too."""
        self.raw = {}
        self.poll = select.poll()
        for kind, target in (("stdout", 1), ("stderr", 2)):
            read, write = os.pipe()
            try:
                # Native code may print while it holds the interpreter's lock; what fits in the pipe cannot block it.
                fcntl.fcntl(write, 1031, 1 << 20)  # F_SETPIPE_SZ
            except OSError:
                pass
            os.dup2(write, target)
            mine = private(read)
            os.set_blocking(mine, False)
            # The spare one keeps the pipe from ending when a cell closes descriptor 1 or 2.
            self.own += [mine, private(write)]
            os.close(read)
            os.close(write)
            self.raw[mine] = (kind, codecs.getincrementaldecoder("utf-8")("replace"))
            self.poll.register(mine, select.POLLIN)

    def in_child(self):
        """A fork of this process speaks no protocol: what it prints goes through descriptors 1 and 2."""
        self.forked = True
        self.lock = threading.RLock()
        self.lines.clear()
        self.text.clear()
        for fd in self.own:
            try:
                os.close(fd)
            except OSError:
                pass
        self.own = []

    def write(self, kind, text):
        if self.forked:
            return self.write_in_child(kind, text)
        with self.lock:
            if not self.running:
                return  # printed by a thread while no cell runs: there is nobody to tell
            if text != "\n":  # the second half of a print()
                self.drain()
            self.add(kind, text)
        self.check()

    def event(self, event_json):
        if self.forked:
            return
        with self.lock:
            if self.running:
                self.drain()
                self.fold()
                self.line(event_json)

    def write_in_child(self, kind, text):
        """Whole lines, so that those of several processes do not mix."""
        with self.lock:
            if kind is not self.kind:
                self.flush_in_child()
                self.kind = kind
            self.text.append(text)
            if "\n" in text:
                self.flush_in_child()

    def flush_in_child(self):
        with self.lock:
            data = "".join(self.text).encode("utf-8", "replace")
            self.text.clear()
            write_all(2 if self.kind == "stderr" else 1, data)

    def flush(self):
        if self.forked:
            return self.flush_in_child()
        with self.lock:
            if self.running:
                self.drain()
                self.fold()
                self.send()
        self.check()

    def check(self):
        """Raises an interrupt that came while an event was being written."""
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    def drain(self):
        """Takes what children have printed up to now, before what is printed next."""
        for fd, _ in self.poll.poll(0):
            self.take(fd)

    def take(self, fd):
        kind, decoder = self.raw[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if self.running:
            self.add(kind, decoder.decode(data))

    def add(self, kind, text):
        if kind is not self.kind:
            self.fold()
            self.kind = kind
        if not self.text:
            self.since = time.monotonic()
        self.text.append(text)
        self.chars += len(text)
        if self.chars >= CHUNK_CHARS:
            self.fold()
            self.send()
        elif not self.armed:
            self.armed = True
            os.write(self.wake_write, b"!")

    def fold(self):
        """Turns collected text into events."""
        if not self.text:
            return
        text = "".join(self.text)
        self.text.clear()
        self.chars = 0
        for start in range(0, len(text), CHUNK_CHARS):
            self.line('{"type":"%s","text":%s}\n' % (self.kind, quote(text[start:start + CHUNK_CHARS])))

    def line(self, line):
        if self.muted:
            return
        self.lines.append(line)
        self.size += len(line)
        if self.size >= SEND_BYTES:
            self.send()

    def send(self):
        if not self.lines:
            return
        data = "".join(self.lines).encode("utf-8", "replace")
        self.lines.clear()
        self.size = 0
        # A handler of the user's that raises must not leave half an event behind.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ASYNC_SIGNALS)
        try:
            write_all(self.fd, data)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def begin(self, request_id, count):
        with self.lock:
            self.drain()  # printed by children between two cells: dropped
            self.running = True
            # Sent before anything of the cell runs: the host gives a cell that has not begun to another process.
            self.line('\n{"type":"begin","id":%s,"count":%d}\n' % (quote(request_id), count))
            self.send()

    def end(self, request_id):
        with self.lock:
            for fd in self.raw:
                self.take_waiting(fd)
            self.fold()
            self.muted = False
            self.line('{"type":"end","id":%s}\n' % quote(request_id))
            self.running = False
            self.interrupted = False
            self.send()

    def take_waiting(self, fd):
        """Takes what is in a pipe now, and not what a busy writer adds meanwhile."""
        waiting = int.from_bytes(fcntl.ioctl(fd, 0x541B, b"\0\0\0\0"), sys.byteorder)  # FIONREAD
        while waiting > 0:
            self.take(fd)
            waiting -= 65536

    def watch(self):
        """Runs in a thread: takes what children print, and sends printed text that has waited long enough."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        for fd in (*self.raw, self.wake_read):
            poll.register(fd, select.POLLIN)
        due = None
        while True:
            timeout = None if due is None else max(0.0, due - time.monotonic()) * 1000
            ready = poll.poll(timeout)
            with self.lock:
                for fd, _ in ready:
                    if fd == self.wake_read:
                        os.read(fd, 64)
                        due = time.monotonic() + FLUSH_SECONDS
                    else:
                        self.take(fd)
                if due is None or time.monotonic() < due:
                    continue
                if self.text and self.since + FLUSH_SECONDS > due:
                    due = self.since + FLUSH_SECONDS  # printed after the text that it was armed for
                    continue
                due = None
                self.armed = False
                if self.running:
                    self.fold()
                    self.send()


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


PROTECTED = {function.__code__ for function in vars(Output).values() if hasattr(function, "__code__")}
PROTECTED.add(write_all.__code__)


class Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of the cells."""

    encoding = "UTF-8"
    errors = "replace"
    newlines = None
    line_buffering = False

    def __init__(self, output, kind, fd):
        self._output = output
        self._kind = kind
        self._fd = fd
        self.name = "<%s>" % kind
        self.mode = "w"
        self.buffer = Bytes(self)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        if text:
            self._output.write(self._kind, text)
        return len(text)

    def flush(self):
        self._output.flush()

    def fileno(self):
        return self._fd

    def isatty(self):
        return False

    def writable(self):
        return True

    def close(self):
        """Stays open: the next cell prints to it too."""


class Bytes(io.BufferedIOBase):
    """The stream's side for bytes."""

    def __init__(self, stream):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = self

    def write(self, data):
        data = bytes(data)
        self._stream.write(self._decoder.decode(data))
        return len(data)

    def flush(self):
        self._stream.flush()

    def fileno(self):
        return self._stream.fileno()

    def writable(self):
        return True

    def close(self):
        """Stays open, as the stream does."""


class Epoch:
    """Tells when this process has been restored from a snapshot: the guest's agent then rewrites a file."""

    def __init__(self, path):
        self.path = path
        self.environment_path = os.path.join(os.path.dirname(path), "environment")
        self.map = None
        self.seen = b""
        self.environment = {}
        self.changed()
        if self.map is not None:
            self.environment = self.sandbox_environment()

    def changed(self):
        if self.map is None:
            try:
                with open(self.path, "rb") as file:
                    self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                return False
        now = self.map[:]
        if now == self.seen:
            return False
        self.seen = now
        return True

    def sandbox_environment(self):
        """The sandbox's variables, NAME=VALUE with a NUL after each, in a file beside the epoch's."""
        try:
            fd = os.open(self.environment_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return {}
        try:
            text = b"".join(iter(lambda: os.read(fd, 65536), b""))
        finally:
            os.close(fd)
        return dict(entry.split("=", 1) for entry in os.fsdecode(text).split("\0") if "=" in entry)

    def renew(self):
        """Two sandboxes from one snapshot differ from here on: in random numbers, environment, time zone."""
        environment = self.sandbox_environment()
        for name in self.environment.keys() - environment.keys():
            os.environ.pop(name, None)
        os.environ.update(environment)
        self.environment = environment
        set_own_environment()
        time.tzset()
        modules = sys.modules
        if "random" in modules:
            modules["random"].seed()
        if "numpy.random" in modules:
            # Ten times faster than to leave it to seed() to find entropy.
            modules["numpy.random"].seed(modules["numpy"].frombuffer(os.urandom(64), "uint32"))
        if "tempfile" in modules:
            modules["tempfile"]._name_sequence = None
        if "ssl" in modules:
            modules["ssl"].RAND_add(os.urandom(32), 32.0)
        if "torch" in modules:
            modules["torch"].seed()
        if "platform" in modules:  # remembers the host name
            modules["platform"]._uname_cache = None


class Kernel:
    def __init__(self, output, epoch):
        self.output = output
        self.epoch = epoch
        self.shell = make_shell(output)
        self.leaving = False
        self.shell.ask_exit = self.leave
        self.operations = {"execute": self.execute, "warm": self.warm, "zygote": self.leave_zygote}

    def leave(self):
        self.leaving = True

    def serve(self, requests_fd):
        """Says that it is ready and takes requests until there are no more; does not return."""
        self.output.own.append(requests_fd)
        self.output.watcher.start()
        write_all(self.output.fd, b'\n{"type":"ready"}\n')
        for line in requests(requests_fd):
            request = json.loads(line)
            self.operations[request["op"]](request)
        leave()

    def leave_zygote(self, request):
        self.output.begin(request["id"], 0)
        listener = listen_as_zygote(self.epoch.path)
        if listener is not None:
            gc.collect()
            gc.freeze()
            # Forked twice, so that no cell that waits for its children meets the zygote.
            child = os.fork()
            if child == 0:
                if os.fork() == 0:
                    Zygote(self, listener).serve()
                os._exit(0)
            os.waitpid(child, 0)
            listener.close()
        self.output.end(request["id"])

    def on_interrupt(self, number, frame):
        if not self.output.running:
            return
        inner = frame
        while inner is not None:
            if inner.f_code in PROTECTED:
                self.output.interrupted = True
                return
            inner = inner.f_back
        raise KeyboardInterrupt

    def execute(self, request):
        request_id, code = request["id"], request["code"]
        if self.epoch.changed():
            self.epoch.renew()
        self.output.begin(request_id, self.shell.execution_count)
        self.run(code, request.get("env"))
        if self.output.forked:  # a child that the cell forked and that came back here
            os._exit(0)
        self.output.end(request_id)
        if self.leaving:
            leave()

    def run(self, code, env=None):
        shell = self.shell
        shell.reported = False
        saved = {}
        try:
            if env:
                saved = {name: os.environ.get(name) for name in env}
                os.environ.update(env)
            signal.signal(signal.SIGINT, self.on_interrupt)
            shell.run_cell(code, store_history=True)
        except BaseException as failure:  # an interrupt between two of IPython's own steps, or a broken hook
            shell.report(type(failure), failure, [])
        finally:
            signal.signal(signal.SIGINT, ignore_interrupt)
            for name, value in saved.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def warm(self, request):
        """Takes the ways that cells usually take, so that all is imported and ready, and forgets that it did."""
        request_id = request["id"]
        self.output.begin(request_id, 0)
        self.output.muted = True
        missing = []
        for name, cells in WARM_CELLS:
            if name and request.get("plain"):
                continue
            if name and importlib.util.find_spec(name) is None:
                missing.append(name)
                continue
            for cell in cells:
                self.epoch.renew()  # as before a new sandbox's first cell
                self.run(cell)
        self.forget()
        # What is free in the heap now lies scattered. Cells that follow each other reuse the same few pages, which a
        # clone's first cell then has to copy instead.
        for _ in range(SETTLING_ROUNDS):
            self.epoch.renew()
            self.run("1+1")
            self.reset()
        self.output.muted = False
        if missing:
            self.output.write("stdout", "the image has no " + ", ".join(missing))
        self.output.end(request_id)

    def forget(self):
        shell = self.shell
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
        self.reset()
        shell._last_traceback = None
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        gc.collect()
        gc.freeze()  # the collector leaves alone what every clone shares

    def reset(self):
        self.shell.reset(new_session=True)
        self.shell.execution_count = 1


WARM_CELLS = [
    (None, ["1+1", "print(1)", "x = 'text'\nx", "[1, 2.5, {'a': None}]", "def f(n):\n    return n + 1\nf(1)",
            "import sys; print(1, file=sys.stderr)", "1/0", "unknown_name", "1 +", "!true",
            "import asyncio\nawait asyncio.sleep(0)", "import json, re, math, datetime, random, collections, itertools",
            "import subprocess; subprocess.run(['true'])", "class C:\n    pass\nC()",
            "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))"]),
    ("PIL", ["import PIL.Image\nPIL.Image.new('RGB', (2, 2))"]),
    ("numpy", ["import numpy as np\nnp.random.rand(3) @ np.ones(3)", "np.arange(6).reshape(2, 3)"]),
    ("pandas", ["import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})\ndf",
                "print(df)\ndf.describe()", "df.groupby('b').sum()"]),
    ("matplotlib", ["import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='l')\nplt.legend()\n"
                    "plt.title('t')\nplt.xlabel('x')\nplt.show()",
                    "plt.bar(['a', 'b'], [1, 2])\nplt.show()", "plt.scatter([1], [2])"]),
]


def ignore_interrupt(number, frame):
    pass


def leave():
    atexit._run_exitfuncs()
    os._exit(0)


def make_shell(output):
    from IPython.core import release
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.error import StdinNotImplementedError
    from IPython.core.formatters import BaseFormatter, DisplayFormatter, JSONFormatter
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.lib.pretty import _repr_pprint
    from traitlets import ObjectName, Unicode
    from traitlets.config import Config

    class Formatter(DisplayFormatter):
        def format(self, obj, include=None, exclude=None):
            # None of a dozen formatters has anything to say of these.
            kind = type(obj)
            if kind in PLAIN and not include and not exclude:
                plain = self.formatters["text/plain"]
                if plain.type_printers.get(kind) is _repr_pprint:
                    return {"text/plain": repr(obj)}, {}
            return super().format(obj, include=include, exclude=exclude)

    class DataFormatter(BaseFormatter):
        format_type = Unicode("e2b/data")
        print_method = ObjectName("_repr_e2b_data_")
        _return_type = (dict, str)

        def __call__(self, obj):
            pandas = sys.modules.get("pandas")
            if pandas is None or not isinstance(obj, getattr(pandas, "DataFrame", ())):
                return super().__call__(obj)
            if obj.size > DATA_CELLS:
                return None
            columns = obj.to_dict(orient="list")
            return {name: [value.isoformat() if isinstance(value, pandas.Timestamp) else value for value in values]
                    for name, values in columns.items()}

    class ChartFormatter(BaseFormatter):
        format_type = Unicode("e2b/chart")
        print_method = ObjectName("_repr_e2b_chart_")
        _return_type = (dict, str)

        def __call__(self, obj):
            figures = sys.modules.get("matplotlib.figure")
            if figures is None or not isinstance(obj, figures.Figure):
                return super().__call__(obj)
            try:
                return charts().describe(obj)
            except Exception:  # a figure that cannot be described is still a picture
                return {}

    class Json(JSONFormatter):
        def __call__(self, obj):
            if isinstance(obj, (list, dict)):
                try:
                    return jsonable(obj), {"expanded": True}
                except (TypeError, ValueError, RecursionError):
                    pass
            return super().__call__(obj)

    class Hook(DisplayHook):
        """The value of a cell's last expression."""

        def start_displayhook(self):
            pass

        def write_output_prompt(self):
            pass

        def write_format_data(self, format_dict, md_dict=None):
            send_result(output, format_dict, True)

        def finish_displayhook(self):
            pass

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, *args, transient=None, update=False, **kwargs):
            if not update:
                send_result(output, data, False)

        def clear_output(self, wait=False):
            pass

    class ZMQInteractiveShell(InteractiveShell):
        """Named as Jupyter's is: by this name libraries recognise a front end that shows HTML and pictures."""

        displayhook_class = Hook
        display_pub_class = Publisher
        reported = False

        def init_display_formatter(self):
            self.display_formatter = Formatter(parent=self)
            self.configurables.append(self.display_formatter)
            for mime, formatter in (("e2b/data", DataFormatter), ("e2b/chart", ChartFormatter),
                                    ("application/json", Json)):
                self.display_formatter.formatters[mime] = formatter(parent=self.display_formatter)

        def _showtraceback(self, etype, evalue, stb):
            self.report(etype, evalue, stb)

        def report(self, etype, evalue, stb):
            if self.reported:
                return
            self.reported = True
            try:
                value = str(evalue)
            except Exception:
                value = "<unprintable %s>" % etype.__name__
            lines = [stb] if isinstance(stb, str) else stb
            output.event('{"type":"error","name":%s,"value":%s,"traceback":%s}\n' % (
                quote(etype.__name__), quote(limit(value)), quote(limit("".join(lines)))))

        def system_piped(self, cmd):
            output.flush()
            process = subprocess.Popen(self.var_expand(cmd, depth=1), shell=True, stderr=subprocess.STDOUT)
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise
            self.user_ns["_exit_code"] = code if code >= 0 else 128 - code

        system = system_piped
        system_raw = system_piped

        def enable_gui(self, gui=None):
            pass

        def set_next_input(self, text, replace=False):
            pass

    config = Config()
    config.IPKernelApp = Config()  # how libraries ask whether they run under Jupyter
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "NoColor" if release.version_info[0] < 9 else "nocolor"
    config.InteractiveShell.warn_venv = False
    config.PlainTextFormatter.max_seq_length = 0
    shell = ZMQInteractiveShell.instance(config=config)

    def no_input(prompt="", stream=None):
        raise StdinNotImplementedError("raw_input was called, but this frontend does not support input requests.")

    import builtins
    import getpass
    builtins.input = no_input
    getpass.getpass = no_input
    return shell


PLAIN = {int, float, bool, complex}


def limit(text):
    return text if len(text) <= CHUNK_CHARS * 64 else text[:CHUNK_CHARS * 64] + "\n[cut off here]"


def send_result(output, data, main):
    encoded = {mime: encode(value) for mime, value in data.items() if value is not None}
    while sum(len(value) for value in encoded.values()) > RESULT_BYTES // 4:
        # Characters are up to four bytes long: what is surely short enough is not measured.
        size = sum(len(value.encode("utf-8", "replace")) for value in encoded.values())
        if size <= RESULT_BYTES - 4096:
            break
        largest = max(encoded, key=lambda mime: len(encoded[mime]))
        del encoded[largest]
        output.write("stderr", "[%s of the result is left out: the result has more than %d MiB]\n" % (
            largest, RESULT_BYTES >> 20))
    output.event('{"type":"result","main":%s,"data":{%s}}\n' % (
        "true" if main else "false", ",".join("%s:%s" % (quote(mime), value) for mime, value in encoded.items())))


def encode(value):
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return quote(base64.b64encode(value).decode("ascii"))
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        try:
            return json.dumps(plain(value), ensure_ascii=False)
        except RecursionError:
            return "null"


def plain(value):
    """Any value as JSON: what JSON cannot say is said as text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return plain(value.tolist())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def jsonable(value, depth=0):
    """A value of plain data as JSON data; TypeError where there is more to it."""
    if depth > 200:
        raise TypeError("too deep")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if -(1 << 63) <= value < 1 << 64:
            return value
        raise TypeError("integer exceeds 64 bits")
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key if type(key) is str else jsonable_key(key): jsonable(item, depth + 1)
                for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, depth + 1) for item in value]
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return jsonable(value.tolist(), depth + 1)
    if kind.__module__ == "datetime" and hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(kind.__name__)


def jsonable_key(key):
    key = jsonable(key)
    if isinstance(key, (dict, list)):
        raise TypeError("not a key")
    return key if isinstance(key, str) else json.dumps(key)


def charts():
    module = sys.modules.get("cube_charts")
    if module is None:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "charts.py")
        spec = importlib.util.spec_from_file_location("cube_charts", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules["cube_charts"] = module
    return module


def prepare_pictures(module):
    """Pictures that are shown or saved to a named file become results."""
    from IPython.display import display

    original = module.Image.save

    def show(self, *args, **kwargs):
        display(self)

    def save(self, fp, format=None, **params):
        if isinstance(fp, str):
            display(self)
        original(self, fp, format, **params)

    module.Image.show = show
    module.Image.save = save


class PictureFinder:
    """Prepares PIL.Image when it is first imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "PIL.Image":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                prepare_pictures(module)

            spec.loader.exec_module = exec_module
        return spec


def set_own_environment():
    os.environ["PAGER"] = os.environ["GIT_PAGER"] = "cat"
    os.environ.setdefault("TERM", "xterm-color")
    # Images without a display choose Agg for their scripts; in a cell it would show nothing.
    if os.environ.get("MPLBACKEND", "agg").lower() in ("", "agg"):
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"


def zygote_address(epoch_path):
    """An abstract address, which is free again when the zygote is gone."""
    return "\0cube-interpreter/%d%s" % (os.getuid(), epoch_path)


def listen_as_zygote(epoch_path):
    """A socket for new contexts; None if there is a zygote."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(zygote_address(epoch_path))
        listener.listen(16)
        return listener
    except OSError:
        listener.close()
        return None


class Zygote:
    """Forks contexts, each for a connection of connect.py, and ends the one whose connection ends."""

    HANDOVER_SECONDS = 10

    def __init__(self, kernel, listener):
        self.kernel = kernel
        self.listener = listener
        self.connections = {}  # from a context's process to its connection

    def serve(self):
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore_interrupt)
        while True:
            poll = select.poll()
            for fd in (self.listener.fileno(), wake_read, *(end.fileno() for end in self.connections.values())):
                poll.register(fd, select.POLLIN)
            ready = {fd for fd, _ in poll.poll()}
            if wake_read in ready:
                os.read(wake_read, 64)
                self.reap()
            for pid, end in list(self.connections.items()):
                if end.fileno() in ready:  # it says nothing: it is gone
                    self.kill(pid)
                    end.close()
                    del self.connections[pid]
            if self.listener.fileno() in ready:
                self.accept((wake_read, wake_write))

    def kill(self, pid):
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def reap(self):
        """Tells how contexts have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            end = self.connections.pop(pid, None)
            if end is not None:
                try:
                    end.sendall(struct.pack("<i", os.waitstatus_to_exitcode(status)))
                except OSError:
                    pass
                end.close()

    def accept(self, wake):
        end, _ = self.listener.accept()
        try:
            end.settimeout(self.HANDOVER_SECONDS)
            _, user, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user != os.getuid():
                end.close()
                return
            fields, streams = receive(end)
        except (OSError, ValueError):
            end.close()
            return
        ours, theirs = os.pipe()  # the child's process group is there before anybody can signal it
        pid = os.fork()
        if pid == 0:
            self.become(fields, streams, [self.listener, end, *self.connections.values()], [*wake, ours, theirs])
        os.close(theirs)
        os.read(ours, 1)
        for fd in (ours, *streams):
            os.close(fd)
        self.connections[pid] = end
        try:
            end.sendall(struct.pack("<i", pid))
        except OSError:
            pass  # noticed when it is polled

    def become(self, fields, streams, sockets, fds):
        """Runs a context in this process, which was forked for it; does not return."""
        kernel = self.kernel
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in sockets:
                end.close()
            for fd in fds:
                os.close(fd)
            requests_fd, events_fd = private(streams[0]), private(streams[1])
            for fd in streams:
                os.close(fd)
            os.chdir(fields[0])
            os.environ.clear()
            os.environ.update(field.split("=", 1) for field in fields[1:] if "=" in field)
            kernel.output.open(events_fd)
            kernel.epoch.changed()
            kernel.epoch.renew()
            kernel.serve(requests_fd)
        except BaseException:
            os._exit(70)


def receive(end):
    """What connect.py hands over: strings, and descriptors for the three standard streams."""
    head, control, _, _ = end.recvmsg(4, socket.CMSG_SPACE(12))
    streams = [fd for level, kind, data in control if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
               for fd in struct.unpack("%di" % (len(data) // 4), data)]
    try:
        data = bytearray()
        (length,) = struct.unpack("<I", head)
        while len(data) < length:
            more = end.recv(length - len(data))
            if not more:
                raise ValueError("cut off")
            data += more
        if len(streams) != 3:
            raise ValueError("no streams")
        return os.fsdecode(bytes(data)).split("\0"), streams
    except BaseException:
        for fd in streams:
            os.close(fd)
        raise


def requests(fd):
    """The lines of standard input, until it ends."""
    buffered = bytearray()
    scanned = 0
    while True:
        end = buffered.find(b"\n", scanned)
        if end >= 0:
            line = bytes(buffered[:end])
            del buffered[:end + 1]
            scanned = 0
            yield line
            continue
        scanned = len(buffered)
        data = os.read(fd, 65536)
        if not data:
            return
        buffered += data


def main():
    epoch_path = sys.argv[1]
    sys.argv = [""]
    sys.path[0] = ""
    signal.signal(signal.SIGINT, ignore_interrupt)
    if os.getpgrp() != MAIN_PID:
        os.setpgid(0, 0)  # an interrupt is sent to the group, and is for the children too
    requests_fd = private(0)
    events_fd = private(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    set_own_environment()
    try:
        import IPython  # noqa: F401
    except ImportError as missing:
        message = "running Python needs IPython in the image (pip install ipython): %s" % missing
        write_all(events_fd, ('{"type":"fatal","message":%s}\n' % quote(message)).encode())
        sys.exit(1)
    output = Output(events_fd)
    sys.stdout = sys.__stdout__ = Stream(output, "stdout", 1)
    sys.stderr = sys.__stderr__ = Stream(output, "stderr", 2)
    sys.meta_path.insert(0, PictureFinder())
    Kernel(output, Epoch(epoch_path)).serve(requests_fd)


if __name__ == "__main__":
    main()
