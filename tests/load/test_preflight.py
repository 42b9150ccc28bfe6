"""Before load: what is wrong with a target is said in one line, with what to do about it."""

import http.server
import json
import socket
import threading
from contextlib import ExitStack

import pytest

from slokit.errors import TargetError
from slokit.load.preflight import preflight

VECTOR = [0.6, 0.8]


def openai(*vectors):
    rows = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"data": rows})


GOOD = (200, openai(VECTOR), "application/json")


@pytest.fixture
def service():
    """Start a service with fixed answers: `service({path: (status, body, type)})` -> (url, log).

    A list of answers is given out one by one, the last one for ever.
    """
    with ExitStack() as stack:

        def start(routes):
            log = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                    log.append((self.path, dict(self.headers), body))
                    said = routes.get(self.path, (404, '{"error": {"message": "gone"}}', "x/y"))
                    if isinstance(said, list):
                        said = said.pop(0) if len(said) > 1 else said[0]
                    self.send_response(said[0])
                    self.send_header("Content-Type", said[2])
                    self.send_header("Content-Length", str(len(said[1].encode())))
                    self.end_headers()
                    self.wfile.write(said[1].encode())

                do_GET = do_POST  # noqa: N815 - http.server's name

                def log_message(self, *_):
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            stack.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}", log

        yield start


def test_a_healthy_target(service, make_plan):
    url, log = service(
        {
            "/v1/embeddings": GOOD,
            "/v1/models": (200, '{"data": [{"id": "gte"}]}', "application/json"),
            "/info": (200, '{"engine": "onnx"}', "application/json"),
        }
    )
    target = preflight(make_plan(url=url, mix={"short": 1.0, "long": 2.0}))
    assert (target.model, target.dim, target.info) == ("gte", 2, {"engine": "onnx"})
    assert target.warnings == ()
    assert 0 < target.latency_s < 2
    asked = [json.loads(body) for path, _, body in log if path == "/v1/embeddings"]
    assert [len(one["input"]) for one in asked] == [4, 50]
    assert {one["model"] for one in asked} == {"gte"}


@pytest.mark.parametrize(
    ("routes", "changes", "expected"),
    [
        pytest.param({}, {"model": "mine"}, ("mine", None), id="model given"),
        pytest.param({"/v1/models": (200, '{"data": []}', "")}, {}, (None, None), id="no model"),
        pytest.param({"/v1/models": (200, "[]", "")}, {}, (None, None), id="models: a list"),
        pytest.param({"/v1/models": (200, "<p>", "")}, {}, (None, None), id="models: HTML"),
        pytest.param({"/v1/models": (500, "", "")}, {}, (None, None), id="models: broken"),
        pytest.param({"/info": (200, "[1]", "")}, {}, (None, None), id="info: a list"),
        pytest.param({"/info": (200, " " * 70_000 + "{}", "")}, {}, (None, None), id="info: big"),
        pytest.param({"/info": (200, '{"a": 1}', "")}, {}, (None, {"a": 1}), id="info"),
    ],
)  # fmt: skip
def test_what_a_target_may_leave_out(service, make_plan, routes, changes, expected):
    url, _ = service({"/v1/embeddings": GOOD} | routes)
    target = preflight(make_plan(url=url, **changes))
    assert (target.model, target.info) == expected


def test_a_key_and_headers_are_sent(service, make_plan, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "s3cret")
    url, log = service({"/v1/embeddings": GOOD})
    preflight(make_plan(url=url, api_key_env="SOME_KEY", headers=(("X-Team", "a"),)))
    assert {fields["Authorization"] for _, fields, _ in log} == {"Bearer s3cret"}
    assert {fields["X-Team"] for _, fields, _ in log} == {"a"}


def test_what_is_strange_but_works_is_a_warning(service, make_plan):
    url, _ = service({"/v1/embeddings": (200, openai([3, 4]), "application/json")})
    plan = make_plan(url=url, rate_rps=10_000.0, duration_s=60.0)
    norm, shortage = preflight(plan).warnings
    assert norm == "the embeddings of short texts are not of unit length"
    assert shortage.startswith("about 600000 different short texts are needed and there are 112736")


JSON = "application/json"


@pytest.mark.parametrize(
    ("status", "body", "kind", "changes", "message"),
    [
        pytest.param(401, "", JSON, {}, "HTTP 401; pass a key with --api-key-env VAR", id="401"),
        pytest.param(
            403, '{"error": {"message": "no\\nway"}}', JSON, {}, "HTTP 403: 'no way'", id="403"
        ),
        pytest.param(404, "", JSON, {}, "choose the route with --path or --protocol", id="404"),
        pytest.param(405, "", JSON, {}, "choose the route with --path or --protocol", id="405"),
        pytest.param(413, '{"error": "big"}', JSON, {}, "HTTP 413: 'big'", id="plain error"),
        pytest.param(422, '{"message": "bad"}', JSON, {}, "HTTP 422: 'bad'", id="flat error"),
        pytest.param(429, "slow down", "text/plain", {}, "HTTP 429: 'slow down'; the", id="429"),
        pytest.param(500, "", JSON, {}, "HTTP 500", id="500"),
        pytest.param(503, "[1]", JSON, {}, "HTTP 503: '[1]'", id="503"),
        pytest.param(302, "", JSON, {}, "HTTP 302 to 'nowhere'; give that", id="redirect"),
        pytest.param(200, "<html>", "text/html", {}, "a web page (text/html)", id="HTML"),
        pytest.param(200, " <p>", JSON, {}, "a web page", id="HTML that says JSON"),
        pytest.param(200, "", JSON, {}, "the answer is no JSON: ''", id="empty"),
        pytest.param(200, '{"data": [', JSON, {}, "the answer is no JSON", id="cut off"),
        pytest.param(200, "{}", JSON, {}, "the answer holds no embeddings: '{}'", id="no data"),
        pytest.param(
            200, openai(VECTOR, VECTOR), JSON, {}, "got 2 embeddings for 1 texts", id="wrong count"
        ),
        pytest.param(200, openai([float("nan")]), JSON, {}, "NaN or infinite numbers", id="NaN"),
        pytest.param(
            200, openai(VECTOR), JSON, {"dim": 768}, "dimension 2, expected 768", id="wrong dim"
        ),
    ],
)
def test_targets_that_cannot_be_measured(service, make_plan, status, body, kind, changes, message):
    url, _ = service({"/v1/embeddings": (status, body, kind)})
    with pytest.raises(TargetError) as refusal:
        preflight(make_plan(url=url, **changes))
    assert str(refusal.value).startswith(f"{url}/v1/embeddings")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_classes_must_agree_on_the_dimension(service, make_plan):
    answers = [GOOD, (200, openai([1.0]), JSON)]
    url, _ = service({"/v1/embeddings": answers})
    with pytest.raises(TargetError, match="got embeddings of dimension 1, expected 2"):
        preflight(make_plan(url=url, mix={"short": 1.0, "long": 1.0}))


def test_nobody_listens(make_plan):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetError, match=rf"cannot connect to .*:{port}/.*: Connection refused"):
        preflight(make_plan(port))


def test_a_name_that_does_not_exist(make_plan):
    with pytest.raises(TargetError, match=r"cannot connect to http://nowhere\.invalid/"):
        preflight(make_plan(url="http://nowhere.invalid"))


def test_no_answer(serve, make_plan):
    server = serve(lambda connection: connection.recv(9999) and connection.recv(9999))
    with pytest.raises(TargetError, match=r"gave no answer within 0\.2 s"):
        preflight(make_plan(server.port, timeout_s=0.2))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param(b"", "broke off its answer", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "broke off", id="truncated"),
        pytest.param(b"SSH-2.0-x\r\n", "broke off its answer", id="not HTTP"),
    ],
)
def test_broken_answers(serve, make_plan, said, message):
    server = serve(lambda connection: (connection.recv(9999), connection.sendall(said)))
    with pytest.raises(TargetError, match=message):
        preflight(make_plan(server.port, model="m"))


def test_an_unknown_authority(serve, make_plan, certificate):
    server = serve(lambda connection: connection.recv(1), context=certificate[1])
    with pytest.raises(TargetError, match="trust it with --ca-cert FILE, or --insecure"):
        preflight(make_plan(url=f"https://localhost:{server.port}"))


def test_no_tls_on_the_other_side(serve, make_plan):
    server = serve(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"))
    with pytest.raises(TargetError, match=r"TLS failed .*; is it https at all"):
        preflight(make_plan(url=f"https://localhost:{server.port}"))


def test_a_proxy_is_said_without_its_password(service, make_plan):
    """The proxy answers for a host that does not exist, so it was really asked."""
    url, _ = service({"http://service.invalid/v1/embeddings": GOOD})
    proxy = url.replace("http://", "http://user:s3cret@")
    target = preflight(make_plan(url="http://service.invalid", proxy=proxy))
    assert target.warnings == ("requests go through the proxy 127.0.0.1",)


NOT_YET = (503, "", JSON)


def test_waiting_until_ready(service, make_plan):
    pauses = []
    ready = [NOT_YET, NOT_YET, (200, "", JSON)]
    url, log = service({"/readyz": ready, "/v1/embeddings": GOOD})
    preflight(make_plan(url=url), wait_ready_s=5, sleep=pauses.append)
    assert [path for path, _, _ in log][:3] == ["/readyz"] * 3
    assert pauses == [0.5, 0.5]


def test_waiting_for_a_service_without_readyz(service, make_plan):
    pauses = []
    url, _ = service({"/v1/embeddings": [NOT_YET, NOT_YET, GOOD]})
    assert preflight(make_plan(url=url), wait_ready_s=5, sleep=pauses.append).dim == 2
    assert pauses == [0.5, 0.5]


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        pytest.param({"/readyz": NOT_YET}, "did not become ready in time; .*HTTP 503", id="readyz"),
        pytest.param({"/v1/embeddings": NOT_YET}, "HTTP 503", id="no readyz"),
    ],
)
def test_waiting_in_vain(service, make_plan, routes, message):
    url, _ = service(routes)
    with pytest.raises(TargetError, match=message):
        preflight(make_plan(url=url), wait_ready_s=0.02, sleep=lambda _: None)


def test_waiting_for_a_port_that_stays_closed(make_plan):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetError, match=r"did not become ready in time; .*Connection refused"):
        preflight(make_plan(port), wait_ready_s=0.02, sleep=lambda _: None)
