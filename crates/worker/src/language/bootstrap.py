# Runs a Python action. Attune starts it as `python -I -c <this> <attune.py> text|file <source or path>`.
#
# The protocol: parameters are one JSON object on standard input, the result is one JSON value on descriptor 3, and standard
# output and standard error are the log. A program with a top-level function `run` gets the parameters as arguments, and what
# it returns is the result. Any other program runs as a script and reads standard input itself.
import importlib.machinery
import os
import sys


class Helper:
    """Makes `import attune` work."""

    source = ""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "attune":
            return importlib.machinery.ModuleSpec(name, cls, origin="built into Attune")
        return None

    @staticmethod
    def create_module(spec):
        return None

    @classmethod
    def exec_module(cls, module):
        exec(compile(cls.source, "<attune>", "exec"), module.__dict__)


def load(kind, entry):
    """The code of the action, and its name and file."""
    if kind == "file":
        name = os.path.splitext(os.path.basename(entry))[0]
        # Modules next to the action, and those that all actions of the pack share.
        folders = [os.path.dirname(entry)]
        pack = os.environ.get("ATTUNE_PACK_DIR")
        if pack:
            folders += [os.path.join(pack, "actions", "lib"), os.path.join(pack, "lib")]
        sys.path[:0] = folders
        return importlib.machinery.SourceFileLoader(name, entry).get_code(name), name, entry
    import linecache

    file = "<action>"
    # So that tracebacks show the lines of the program.
    linecache.cache[file] = (len(entry), None, entry.splitlines(True), file)
    return compile(entry, file, "exec"), "action", file


def write_result(value):
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise TypeError("run() returned a value that is not JSON: " + str(error)) from None
    data = memoryview(text.encode("utf-8", "surrogatepass"))
    while data:
        data = data[os.write(3, data):]


def call(run):
    import json

    with open(0, "rb", closefd=False) as stdin:
        parameters = json.loads(stdin.read())
    value = run(**parameters)
    if hasattr(value, "__await__"):
        import asyncio

        async def wait():
            return await value

        value = asyncio.run(wait())
    write_result(value)


def has_run(code):
    # A function definition at the top level leaves its code among the constants of the module.
    return any(isinstance(it, type(code)) and it.co_name == "run" for it in code.co_consts)


def execute(code, name, file):
    """Executes the program and returns its function, if it has one."""
    module = type(sys)(name if has_run(code) else "__main__")
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    run = getattr(module, "run", None)
    return run if has_run(code) and callable(run) else None


def fail(error):
    import traceback

    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == "<string>":
        trace = trace.tb_next
    sys.stdout.flush()
    traceback.print_exception(type(error), error, trace)
    return 1


def main():
    Helper.source, kind, entry, *mode = sys.argv[1:]
    sys.meta_path.insert(0, Helper)
    # A line of the log is shown when it is complete, not when the program ends.
    sys.stdout.reconfigure(line_buffering=True)
    if mode == ["serve"]:
        return serve(kind, entry)
    try:
        code, name, file = load(kind, entry)
        sys.argv = [file]
        run = execute(code, name, file)
        if run:
            call(run)
    except Exception as error:
        sys.exit(fail(error))


# Warm: one process loads the program, and forks for each run (docs/decisions/0027-runtimes.md). Standard input is the socket to
# the supervisor. A message is six descriptors: standard input, output and error, the result, a socket of the run, and a file that
# describes the run.


def serve(kind, entry):
    import atexit  # noqa: F401, what every run needs
    import fcntl
    import gc
    import json
    import resource  # noqa: F401
    import socket
    import time  # noqa: F401

    link = socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 10))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    # Another run of the same user can neither trace nor inspect this process or its forks.
    import ctypes

    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    before = descriptors()
    try:
        code, name, file = load(kind, entry)
        sys.argv = [file]
        run = execute(code, name, file) if has_run(code) else None
        reason = None if run else "it has no function run()"
    except BaseException as error:
        reason = "it failed to load: " + repr(error)
    reason = reason or unsafe(before)
    if reason:
        link.send(b"cold " + reason.encode("utf-8", "replace")[:500])
        os._exit(0)
    gc.collect()
    gc.freeze()
    link.send(b"ready")
    while True:
        _, received, _, _ = socket.recv_fds(link, 16, 8)
        if len(received) != 6:
            os._exit(0)
        # The second fork makes the run a child of the supervisor, which waits for it.
        middle = os.fork()
        if middle == 0:
            if os.fork() != 0:
                os._exit(0)
            link.close()
            begin(received, json, socket)
            os._exit(ended(run))
        for descriptor in received:
            os.close(descriptor)
        os.waitpid(middle, 0)


def descriptors():
    return {int(name): os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd") if exists(name)}


def exists(name):
    return os.path.lexists("/proc/self/fd/" + name)


def unsafe(before):
    """Why a fork of this process would not be like a process of its own."""
    if len(os.listdir("/proc/self/task")) > 1:
        return "it starts a thread when it is loaded"
    for number, target in descriptors().items():
        if before.get(number) != target and not target.startswith("/dev/") and not target.startswith("/proc/"):
            return "it opens " + ("a socket" if target.startswith("socket:") else target) + " when it is loaded"
    return None


def begin(received, json, socket):
    import resource

    stdin, stdout, stderr, result, control, description = received
    os.setsid()
    with os.fdopen(description) as file:
        run = json.load(file)
    for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    channel = socket.socket(fileno=os.dup(control))
    os.dup2(result, 3)
    for descriptor in (stdin, stdout, stderr, result, control):
        if descriptor > 3:
            os.close(descriptor)
    for name, soft, hard in run["limits"]:
        limit = getattr(resource, name)
        most = resource.getrlimit(limit)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(limit, (soft, hard))
    os.environ.clear()
    os.environ.update(run["environment"])
    os.chdir(run["directory"])
    import time

    time.tzset()
    numpy = sys.modules.get("numpy")
    if numpy:
        numpy.random.seed()
    # Nothing of the program runs before the supervisor knows this process.
    channel.send(str(os.getpid()).encode())
    if channel.recv(1) != b"g":
        os._exit(0)
    channel.close()


def ended(run):
    status = 0
    try:
        call(run)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if not isinstance(error.code, (int, type(None))):
            print(error.code, file=sys.stderr)
    except BaseException as error:
        status = fail(error)
    # What the interpreter does when it exits, without taking everything apart.
    import atexit

    threading = sys.modules.get("threading")
    if threading:
        threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status & 0xFF


main()
