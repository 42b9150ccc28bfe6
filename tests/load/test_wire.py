"""The wire client against real sockets that do everything a service can do wrong."""

import contextlib
import socket
import struct
import time

import gevent
import pytest

from slokit.core.sample import Outcome
from slokit.load.wire import WireClient

REQUEST = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def exchange(make_plan):
    """Send one request to a port with a client that is closed afterwards."""

    def send(port, **changes):
        with contextlib.closing(WireClient(make_plan(port, **changes))) as client:
            return client.exchange(REQUEST, time.monotonic_ns())

    return send


def read_request(connection):
    """One request, head and body, as bytes; empty at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", 0)):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def saying(*parts, times=1):
    """A script that answers each request with these bytes and then closes."""

    def script(connection):
        for _ in range(times):
            if read_request(connection):
                for part in parts:
                    connection.sendall(part)

    return script


def reset(connection):
    """Close so that the peer gets RST instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(body, head=b"HTTP/1.1 200 OK"):
    """A whole answer with a length."""
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def slowly(parts, pause_s):
    def script(connection):
        read_request(connection)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)

    return script


def then_reset(*parts):
    def script(connection):
        read_request(connection)
        for part in parts:
            connection.sendall(part)
        time.sleep(0.05)  # let the client read what was sent before the reset overtakes it
        reset(connection)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "outcome", "status", "body"),
    [
        pytest.param([answer(b"{}")], "ok", 200, b"{}", id="with a length"),
        pytest.param([CHUNKED, b"2\r\n{}\r\n", b"0\r\n\r\n"], "ok", 200, b"{}", id="chunked"),
        pytest.param([HEAD + b"\r\n", b"{", b"}"], "ok", 200, b"{}", id="until the end"),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", answer(b"{}")], "ok", 200, b"{}", id="100 first"
        ),
        pytest.param(
            [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + answer(b"{}")],
            "ok", 200, b"{}", id="three times 103",
        ),
        pytest.param([answer(b"{}", b"HTTP/1.0 200 OK")], "ok", 200, b"{}", id="HTTP/1.0"),
        pytest.param([answer(b"{}") + b"junk"], "ok", 200, b"{}", id="whole, then junk"),
        pytest.param([answer(b"{}") * 2], "ok", 200, b"{}", id="two answers for one"),
        pytest.param([answer(b"", b"HTTP/1.1 204 No Content")], "ok", 204, b"", id="204"),
        pytest.param([answer(b"", b"HTTP/1.1 301 M")], "http_3xx", 301, b"", id="redirect"),
        pytest.param([answer(b"e", b"HTTP/1.1 404 N")], "http_4xx", 404, b"e", id="404"),
        pytest.param([answer(b"e", b"HTTP/1.1 429 T")], "http_429", 429, b"e", id="429"),
        pytest.param([answer(b"e", b"HTTP/1.1 500 I")], "http_5xx", 500, b"e", id="500"),
        pytest.param([answer(b"e", b"HTTP/1.1 503 U")], "http_5xx", 503, b"e", id="503"),
        pytest.param([answer(b"", b"HTTP/1.1 999 ?")], "invalid_body", 999, b"", id="999"),
        pytest.param([], "reset", None, b"", id="closes without a word"),
        pytest.param([b"HTTP/1.1 20"], "reset", None, b"", id="closes in the status line"),
        pytest.param([HEAD + b"Server: x"], "reset", None, b"", id="closes in the head"),
        pytest.param([answer(b"{}")[:-1]], "truncated", 200, b"", id="closes in the body"),
        pytest.param([CHUNKED, b"2\r\n{"], "truncated", 200, b"", id="closes in a chunk"),
        pytest.param([CHUNKED, b"2\r\n{}\r\n"], "truncated", 200, b"", id="no last chunk"),
        pytest.param([CHUNKED, b"zz\r\n"], "invalid_body", 200, b"", id="no chunk size"),
        pytest.param([b"SSH-2.0-OpenSSH\r\n"], "invalid_body", None, b"", id="not HTTP"),
        pytest.param(
            [HEAD + b"X: " + b"a" * 20_000_000],
            "invalid_body", None, b"", id="a head without end",
        ),
        pytest.param(
            [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"],
            "invalid_body", 101, b"", id="wants another protocol",
        ),
    ],
)  # fmt: skip
def test_each_answer_has_its_outcome(serve, exchange, parts, outcome, status, body):
    server = serve(saying(*parts))
    got = exchange(server.port)
    assert (got.outcome, got.status, got.body) == (outcome, status, body)
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        pytest.param([], "reset", id="before the answer"),
        pytest.param([HEAD], "reset", id="in the head"),
        pytest.param([answer(b"{}")[:-1]], "reset", id="in the body"),
    ],
)
def test_a_reset_connection(serve, exchange, parts, outcome):
    assert exchange(serve(then_reset(*parts)).port).outcome == outcome


def test_times_are_in_order(serve, exchange):
    server = serve(slowly([answer(b"{}")[:20], answer(b"{}")[20:]], 0.05))
    before = time.monotonic_ns()
    got = exchange(server.port)
    assert before <= got.sent_ns <= got.sent_ns + got.connect_ns
    assert got.sent_ns + got.connect_ns <= got.first_byte_ns
    assert got.first_byte_ns + 40_000_000 <= got.end_ns <= time.monotonic_ns()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda _: time.sleep(1), id="never answers"),
        pytest.param(slowly([answer(b"{}")[:-1]], 1), id="stops in the body"),
        pytest.param(slowly([bytes([b]) for b in answer(b"{}" * 20)], 0.02), id="byte by byte"),
    ],
)
def test_one_deadline_for_the_whole_answer(serve, exchange, script):
    got = exchange(serve(script).port, timeout_s=0.3)
    assert got.outcome == "timeout"
    assert 0.3e9 <= got.end_ns - got.sent_ns < 1e9


def test_nobody_listens(exchange):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    got = exchange(port)
    assert (got.outcome, got.connect_ns, got.status) == ("connect", None, None)
    assert got.end_ns > got.sent_ns


def test_a_name_that_does_not_exist(exchange):
    assert exchange(1, url="http://nowhere.invalid").outcome == "connect"


def test_a_full_backlog_is_no_connection(exchange):
    """Nobody accepts and the queue is full: the connection never comes to be."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        assert exchange(port, connect_timeout_s=0.1, timeout_s=1.0).outcome == "connect"
        assert exchange(port, connect_timeout_s=1.0, timeout_s=0.1).outcome == "timeout"


def test_ipv6(serve, exchange):
    server = serve(saying(answer(b"{}")), family=socket.AF_INET6)
    assert exchange(server.port, url=f"http://[::1]:{server.port}").outcome == "ok"


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        pytest.param({"ca_cert": True}, "ok", id="the right authority"),
        pytest.param({"insecure": True}, "ok", id="not checked"),
        pytest.param({}, "connect", id="unknown authority"),
    ],
)
def test_tls(serve, exchange, certificate, settings, outcome):
    path, context = certificate
    server = serve(saying(answer(b"{}")), context=context)
    if "ca_cert" in settings:
        settings = {"ca_cert": str(path)}
    got = exchange(server.port, url=f"https://localhost:{server.port}", **settings)
    assert got.outcome == outcome


def test_tls_that_does_not_answer_in_time(serve, exchange, certificate):
    path, context = certificate
    server = serve(lambda _: time.sleep(1), context=context)
    url = f"https://localhost:{server.port}"
    assert exchange(1, url=url, ca_cert=str(path), timeout_s=0.3).outcome == "timeout"


def test_no_tls_on_the_other_side(serve, exchange):
    server = serve(lambda plain: plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert exchange(1, url=f"https://127.0.0.1:{server.port}", insecure=True).outcome == "connect"


def test_a_connection_is_kept(serve, make_plan):
    server = serve(saying(answer(b"{}"), times=3))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        got = [client.exchange(REQUEST, time.monotonic_ns()) for _ in range(3)]
    assert [one.outcome for one in got] == ["ok"] * 3
    assert [one.connect_ns is None for one in got] == [False, True, True]
    assert server.accepted == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close", id="it says close"),
        pytest.param(b"HTTP/1.0 200 OK", id="HTTP/1.0"),
    ],
)
def test_a_connection_is_not_kept(serve, make_plan, first):
    server = serve(saying(answer(b"{}", first), times=2))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        got = [client.exchange(REQUEST, time.monotonic_ns()) for _ in range(2)]
    assert [one.connect_ns is None for one in got] == [False, False]


def test_a_connection_closed_while_idle_is_replaced_before_it_is_used(serve, make_plan):
    server = serve(saying(answer(b"{}")))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        client.exchange(REQUEST, time.monotonic_ns())
        time.sleep(0.05)
        got = client.exchange(REQUEST, time.monotonic_ns())
    assert (got.outcome, got.connect_ns is None, client.stale_retries) == ("ok", False, 0)


def closing_on_the_second(pause_s):
    """Answers one request; on the second it breaks off after a pause."""

    def script(connection):
        read_request(connection)
        connection.sendall(answer(b"{}"))
        connection.recv(1)
        time.sleep(pause_s)
        reset(connection)

    return script


def test_a_kept_connection_that_breaks_at_once_is_tried_anew(serve, make_plan):
    server = serve(closing_on_the_second(0), saying(answer(b"{}")))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        client.exchange(REQUEST, time.monotonic_ns())
        sent_ns = time.monotonic_ns()
        got = client.exchange(REQUEST, sent_ns)
    assert (got.outcome, got.sent_ns, client.stale_retries) == ("ok", sent_ns, 1)


def test_a_kept_connection_that_breaks_later_had_the_request(serve, make_plan):
    """The service may have worked on it: a retry would hide its death and do the work twice."""
    server = serve(closing_on_the_second(0.1), saying(answer(b"{}")))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        client.exchange(REQUEST, time.monotonic_ns())
        got = client.exchange(REQUEST, time.monotonic_ns())
    assert (got.outcome, client.stale_retries, server.accepted) == ("reset", 0, 1)


def test_a_greenlet_that_is_killed_closes_its_connection(serve, make_plan):
    closed = []
    server = serve(lambda c: (read_request(c), closed.append(c.recv(1))))
    client = WireClient(make_plan(server.port))
    sending = gevent.spawn(client.exchange, REQUEST, time.monotonic_ns())
    gevent.sleep(0.05)
    sending.kill()
    gevent.sleep(0.05)
    assert closed == [b""]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("Server-Timing: queue;dur=1.5, infer;dur=20", {"queue": 1500, "infer": 20000},
                     id="two phases"),
        pytest.param('Server-Timing: tokenize;desc="x y";dur=0.25', {"tokenize": 250},
                     id="with a description"),
        pytest.param("Server-Timing: cache;dur=3, miss", {}, id="phases we do not know"),
        pytest.param("Server-Timing: queue;dur=abc", {}, id="no number"),
        pytest.param("X-Queue-Time: 3\r\nX-Tokenization-Time: 1\r\nX-Inference-Time: 12",
                     {"queue": 3000, "tokenize": 1000, "infer": 12000}, id="TEI"),
        pytest.param("X-Queue-Time: soon", {}, id="TEI without a number"),
        pytest.param("X-Queue-Time: " + "9" * 400, {}, id="TEI beyond all time"),
        pytest.param("Server-Timing: queue;dur=" + "9" * 400, {}, id="beyond all time"),
        pytest.param("X-Other: 1", {}, id="nothing"),
    ],
)  # fmt: skip
def test_server_timings(serve, exchange, header, expected):
    head = f"HTTP/1.1 200 OK\r\n{header}".encode()
    got = exchange(serve(saying(answer(b"{}", head))).port)
    assert (got.outcome, got.server_us()) == (Outcome.OK, expected)


def test_an_http_proxy_is_asked_for_the_whole_url(serve, make_plan):
    """The proxy's address is dialled, not the target's."""
    server = serve(saying(answer(b"{}")))
    plan = make_plan(url="http://service.invalid", proxy=f"http://127.0.0.1:{server.port}")
    with contextlib.closing(WireClient(plan)) as client:
        assert client.exchange(REQUEST, time.monotonic_ns()).outcome == "ok"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        pytest.param(b"HTTP/1.1 200 Connection established\r\n\r\n", "ok", id="lets through"),
        pytest.param(b"HTTP/1.1 407 Authenticate\r\n\r\n", "connect", id="refuses"),
        pytest.param(b"nonsense", "connect", id="breaks off"),
    ],
)
def test_a_tunnel_through_a_proxy(serve, make_plan, certificate, said, outcome):
    path, context = certificate
    asked = []

    def script(connection):
        asked.append(read_request(connection))
        connection.sendall(said)
        if outcome == "ok":
            with context.wrap_socket(connection, server_side=True) as secured:
                saying(answer(b"{}"))(secured)

    server = serve(script)
    plan = make_plan(
        url="https://localhost:444", proxy=f"http://u:p%40@127.0.0.1:{server.port}",
        ca_cert=str(path),
    )  # fmt: skip
    with contextlib.closing(WireClient(plan)) as client:
        assert client.exchange(REQUEST, time.monotonic_ns()).outcome == outcome
    assert asked[0].startswith(b"CONNECT localhost:444 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dTpwQA==\r\n" in asked[0]
