"""Only the load process has Locust in it, and only Locust replaces sockets."""

import json
import subprocess
import sys

import pytest


def imported_by(module):
    """What a fresh interpreter has loaded after `import module`, and what that changed."""
    code = (
        f"import sys, socket, signal, threading, json; import {module};"
        "from prometheus_client import REGISTRY;"
        "print(json.dumps({'modules': sorted({m.partition('.')[0] for m in sys.modules}),"
        " 'socket': socket.socket.__module__, 'threads': threading.active_count(),"
        " 'sigterm': str(signal.getsignal(signal.SIGTERM))}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["scenario", "texts", "plan", "protocol", "launcher", "preflight"])
def test_what_the_command_line_imports_is_free_of_gevent(name):
    found = imported_by(f"slokit.load.{name}")
    assert not {"gevent", "locust"} & set(found["modules"])
    assert (found["socket"], found["threads"]) == ("socket", 1)


@pytest.mark.parametrize("name", ["wire", "engine", "recorder", "precise", "stock"])
def test_the_hot_path_patches_nothing(name):
    found = imported_by(f"slokit.load.{name}")
    assert "locust" not in found["modules"]
    assert (found["socket"], found["sigterm"]) == ("socket", "0")
