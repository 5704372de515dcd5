"""Helpers for actions in Python: `import attune`. It has no dependencies and works only inside of an action."""
import json
import os
import sys

#: The execution (the same for all its attempts), and the number of this attempt, from 1.
execution_id = os.environ.get("ATTUNE_EXECUTION_ID")
attempt = int(os.environ.get("ATTUNE_ATTEMPT", "1"))
#: The folder with the files of the pack, if it has any. It is read-only.
pack_dir = os.environ.get("ATTUNE_PACK_DIR")


def parameters():
    """The parameters, for a script. A function `run` gets them as arguments."""
    return json.load(sys.stdin)


def result(value):
    """Writes the result, for a script. A function `run` returns it. Call this once, at the end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    data = memoryview(text.encode())
    while data:
        data = data[os.write(int(os.environ.get("ATTUNE_RESULT_FD", "3")), data):]


def progress(message, percent=None):
    """Writes a line about the progress into the log."""
    share = "" if percent is None else f"{percent:.0f} % "
    print(f"progress: {share}{message}", file=sys.stderr, flush=True)
