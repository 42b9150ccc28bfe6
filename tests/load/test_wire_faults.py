"""Faults of a service that take more than one answer to show: floods, trickles, silence."""

import contextlib
import itertools
import json
import time
from pathlib import Path

import gevent
import pytest

from slokit.load.answers import FULL_CHECKS_EVERY, FULL_CHECKS_FIRST, AnswerCheck
from slokit.load.engine import Engine
from slokit.load.exchange import Exchange
from slokit.load.null_server import null_server
from slokit.load.wire import WireClient
from slokit.runs.journal import read_samples

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MEGABYTE = 1_000_000


def request(size):
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


@pytest.fixture
def exchange(make_plan):
    """Send one request of so many bytes with a client that is closed afterwards."""

    def send(port, size=2, **changes):
        with contextlib.closing(WireClient(make_plan(port, **changes))) as client:
            return client.exchange(request(size), time.monotonic_ns())

    return send


def read(connection, size):
    """Read a request whose body has so many bytes; gives how many bytes came."""
    left = len(request(size))
    while left > 0:
        left -= len(connection.recv(min(left, 65536)))
    return size


def test_twenty_megabytes_of_headers(serve, exchange):
    """Neither is all of it read nor is it kept."""
    sent = []

    def script(connection):
        read(connection, 2)
        line = b"X-Header: " + b"a" * 90 + b"\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200_000):
            connection.sendall(line)
            sent.append(len(line))

    got = exchange(serve(script).port)
    assert (got.outcome, got.body, got.headers) == ("invalid_body", b"", [])
    assert sum(sent) < 20 * MEGABYTE


def test_100_continue_and_the_answer_byte_by_byte(serve, exchange):
    def script(connection):
        read(connection, 2)
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + OK:
            connection.sendall(bytes([byte]))
            time.sleep(0.001)

    got = exchange(serve(script).port)
    assert (got.outcome, got.status, got.body) == ("ok", 200, b"{}")
    assert got.first_byte_ns < got.end_ns


def test_a_large_request_to_a_service_that_reads_slowly(serve, exchange):
    """What the kernel does not take at once follows when the service has made room."""
    came = []

    def script(connection):
        time.sleep(0.1)
        came.append(read(connection, 8 * MEGABYTE))
        connection.sendall(OK)

    got = exchange(serve(script).port, size=8 * MEGABYTE)
    assert (got.outcome, came) == ("ok", [8 * MEGABYTE])


def test_a_large_request_to_a_service_that_does_not_read(serve, exchange):
    got = exchange(serve(lambda _: time.sleep(1)).port, size=20 * MEGABYTE, timeout_s=0.3)
    assert got.outcome == "timeout"
    assert 0.3e9 <= got.end_ns - got.sent_ns < 1e9


def test_an_answer_before_the_request_is_all_there(serve, make_plan):
    """It counts, and the connection, which still holds half a request, is not used again."""

    def script(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.3)

    server = serve(script)
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        got = [client.exchange(request(20 * MEGABYTE), time.monotonic_ns()) for _ in range(2)]
    assert [(one.outcome, one.status) for one in got] == [("http_4xx", 413)] * 2
    assert [one.connect_ns is None for one in got] == [False, False]


def test_a_large_answer_over_tls(serve, exchange, certificate):
    """OpenSSL holds bytes that the kernel no longer reports."""
    path, context = certificate

    def script(connection):
        read(connection, 2)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (3 * MEGABYTE)
        connection.sendall(head + b"x" * 3 * MEGABYTE)

    server = serve(script, context=context)
    got = exchange(1, url=f"https://localhost:{server.port}", ca_cert=str(path))
    assert (got.outcome, len(got.body)) == ("ok", 3 * MEGABYTE)


def test_a_connection_that_ends_while_idle_is_noticed_by_the_event_loop(serve, make_plan):
    server = serve(lambda c: (read(c, 2), c.sendall(OK), time.sleep(0.05)))
    with contextlib.closing(WireClient(make_plan(server.port))) as client:
        got = [client.exchange(request(2), time.monotonic_ns())]
        gevent.sleep(0.1)
        got.append(client.exchange(request(2), time.monotonic_ns()))
    assert [one.outcome for one in got] == ["ok", "ok"]
    assert (server.accepted, client.stale_retries) == (2, 0)


def test_a_service_that_accepts_and_never_answers(serve, make_plan):
    """Each request is given up after its own time-out, and the load ends in order."""
    server = serve(lambda _: time.sleep(1))
    plan = make_plan(server.port, rate_rps=40.0, arrivals="constant", duration_s=0.5, timeout_s=0.4)
    Engine(plan).run()
    samples = read_samples(Path(plan.run_dir)).to_pandas()
    assert samples.outcome.tolist() == ["timeout"] * 20
    waited_s = (samples.end_ns - samples.sent_ns) / 1e9
    assert waited_s.min() >= 0.4
    assert samples.status.isna().all()
    assert json.loads(Path(plan.run_dir, "load-0.json").read_text())["status"] == "complete"


def test_checks_that_find_no_gap_are_skipped_and_said(make_plan):
    """5000 requests a second leave 0.2 ms between two: less than a full check takes."""
    with null_server() as url:
        plan = make_plan(url=url, rate_rps=5000.0, arrivals="constant", duration_s=0.2)
        Engine(plan).run()
    ending = json.loads(Path(plan.run_dir, "load-0.json").read_text())
    assert ending["answers_skipped"] > 0
    assert ending["answers_checked"] > 0
    assert f"{ending['answers_skipped']} answers were not checked in full" in ending["warnings"][-1]
    outcomes = read_samples(Path(plan.run_dir)).column("outcome").to_pylist()
    assert outcomes == ["ok"] * 1000


def test_wrong_answers_are_found_between_arrivals(serve, make_plan):
    """The right shape, but of another dimension than the plan expects."""
    body = b'{"data": [{"index": 0, "embedding": [0.6, 0.8]}]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def script(connection):
        while connection.recv(65536):
            connection.sendall(answer)

    server = serve(script)
    plan = make_plan(server.port, rate_rps=20.0, arrivals="constant", duration_s=0.5, dim=3)
    Engine(plan).run()
    outcomes = read_samples(Path(plan.run_dir)).column("outcome").to_pylist()
    assert outcomes == ["invalid_body"] * 10
    (warning,) = json.loads(Path(plan.run_dir, "load-0.json").read_text())["warnings"]
    assert "got embeddings of dimension 2, expected 3" in warning


def test_the_sample_of_full_checks_is_bounded_in_number_and_in_time(make_plan):
    """The first ones, then one in so many, and never two within 20 ms."""
    check = AnswerCheck(make_plan(protocol="tei"))
    wanted = []
    for number in range(3000):
        exchange = Exchange(0, end_ns=number * 100_000, body=b"[[1.0]]")
        assert check.glance(exchange) == "ok"
        if check.wants(exchange):
            wanted.append(number)
    assert wanted[:FULL_CHECKS_FIRST] == list(range(FULL_CHECKS_FIRST))
    later = wanted[FULL_CHECKS_FIRST:]
    assert all((number + 1) % FULL_CHECKS_EVERY == 0 for number in later)
    gaps = [after - before for before, after in itertools.pairwise(later)]
    assert min(gaps) == max(gaps) == 200  # 20 ms of 0.1 ms each


def test_an_observer_may_wait(make_plan):
    """It runs beside the load, and the load does not end before it has heard everything."""
    seen = []

    def observe(*told):
        gevent.sleep(0.02)
        seen.append(told)

    plan = make_plan(1, rate_rps=200.0, arrivals="constant", duration_s=0.1)
    Engine(plan, observe=observe).run()
    assert len(seen) == 20
