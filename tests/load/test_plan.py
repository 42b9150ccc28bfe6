"""Plans travel as JSON unchanged, hold no secret, and refuse what cannot be requested."""

import ssl
from dataclasses import replace

import pytest

from slokit.errors import UsageError
from slokit.load.plan import Endpoint, LoadPlan, Stage, api_key, proxy_for, tls_context
from slokit.load.scenario import Scenario


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://h", ("http", "h", 80, "", "h"), id="port of http"),
        pytest.param("https://h/", ("https", "h", 443, "", "h"), id="port of https"),
        pytest.param("http://h:9997/api/", ("http", "h", 9997, "/api", "h:9997"), id="base path"),
        pytest.param("http://h:1/v1", ("http", "h", 1, "", "h:1"), id="base URL of OpenAI clients"),
        pytest.param("http://h:1/a/v1/embeddings", ("http", "h", 1, "/a", "h:1"), id="the route"),
        pytest.param("http://[::1]:80", ("http", "::1", 80, "", "[::1]"), id="IPv6"),
        pytest.param("HTTP://Host:1", ("http", "host", 1, "", "host:1"), id="capitals"),
    ],
)
def test_addresses(url, expected):
    got = Endpoint.parse(url)
    assert (got.scheme, got.host, got.port, got.base_path, got.netloc) == expected


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("localhost:8000", id="no scheme"),
        pytest.param("", id="nothing"),
        pytest.param("ftp://h", id="another scheme"),
        pytest.param("http://", id="no host"),
        pytest.param("http://h:99999", id="port too large"),
        pytest.param("http://h:x", id="port is a word"),
        pytest.param("http://u:p@h", id="a password"),
        pytest.param("http://h/?q=1", id="a query"),
        pytest.param("http://h\r\nX: y", id="a line break"),
        pytest.param("http://[::1", id="half a bracket"),
    ],
)
def test_addresses_that_are_none(url):
    with pytest.raises(UsageError, match="write http://HOST:PORT or https://HOST"):
        Endpoint.parse(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("localhost", True, id="localhost"),
        pytest.param("a.localhost", True, id="below localhost"),
        pytest.param("127.8.9.1", True, id="127/8"),
        pytest.param("[::1]", True, id="IPv6"),
        pytest.param("10.0.0.1", False, id="private is not loopback"),
        pytest.param("localhost.example", False, id="a name that starts so"),
    ],
)
def test_loopback(host, expected):
    assert Endpoint.parse(f"http://{host}:8000").is_loopback is expected


def test_a_plan_travels_unchanged(make_plan):
    plan = make_plan(
        stages=(Stage(1.5, 3), Stage(2.0, 9)), headers=(("X-A", "b"),), mix={"short": 0.25}
    )
    assert LoadPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"url": "nowhere"}, "'nowhere' is no address", id="url"),
        pytest.param({"protocol": "grpc"}, "write one of openai, plain, tei", id="protocol"),
        pytest.param({"protocol": "plain", "batch": 2}, "batch is 2: protocol plain", id="batch"),
        pytest.param({"path": "embed"}, "path 'embed' cannot be requested", id="path"),
        pytest.param({"path": "/a b"}, "path '/a b' cannot be requested", id="space in path"),
        pytest.param({"path": "/a\r\nX: y"}, "cannot be requested", id="line break in path"),
        pytest.param({"encoding_format": "int8"}, "write float or base64", id="encoding"),
        pytest.param({"timeout_s": 0.0}, "timeout_s is 0.0: write seconds > 0", id="timeout"),
        pytest.param({"duration_s": float("nan")}, "duration_s is nan", id="duration"),
        pytest.param({"max_in_flight": 0}, "max_in_flight is 0", id="no slot"),
        pytest.param({"ca_cert": "f", "insecure": True}, "give one of them", id="tls"),
        pytest.param({"headers": (("X Y", "v"),)}, "header name 'X Y'", id="header name"),
        pytest.param({"headers": (("", "v"),)}, "header name ''", id="no header name"),
        pytest.param({"headers": (("X", "a\r\nb"),)}, "the value of header X", id="header value"),
    ],
)
def test_plans_that_cannot_be_run(make_plan, change, message):
    with pytest.raises(UsageError) as refusal:
        make_plan(**change)
    assert message in str(refusal.value)


def plan_of(monkeypatch, scenario=None, **settings):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    settings = {"run_id": "r", "run_dir": "d", "url": "http://h", "seed": 1} | settings
    return LoadPlan.of(scenario or Scenario(rate="500rps", duration="60s"), name="x", **settings)


def test_a_scenario_becomes_a_plan(monkeypatch):
    ramp = Scenario(texts={"long": 2}, stages=((1, "30s"), (5, "1m")), pacing="2s", batch=4)
    plan = plan_of(monkeypatch, ramp)
    assert (plan.loop, plan.duration_s, plan.pacing_s, plan.batch) == ("closed", 90.0, 2.0, 4)
    assert plan.stages == (Stage(30.0, 1), Stage(60.0, 5))
    assert (plan.mix, plan.expected_requests) == ({"long": 2}, None)


@pytest.mark.parametrize(
    ("settings", "slots"),
    [
        pytest.param({}, 10_000, id="twice rate times time-out"),
        pytest.param({"timeout_s": 0.5}, 1000, id="never below 1000"),
        pytest.param({"max_in_flight": 7}, 7, id="as asked for"),
    ],
)
def test_slots(monkeypatch, settings, slots):
    assert plan_of(monkeypatch, **settings).max_in_flight == slots


def test_texts_of_a_file_replace_the_mix(monkeypatch):
    assert plan_of(monkeypatch, texts_file="t.txt").mix == {"custom": 1.0}


def test_seeds_are_apart(make_plan):
    one, two = make_plan(seed=1), make_plan(seed=2)
    seeds = [plan.seed_for(what) for plan in (one, two) for what in ("schedule", "texts", "trace")]
    assert len(set(seeds)) == 6
    assert one.seed_for("texts") == make_plan(seed=1, rate_rps=99.0).seed_for("texts")


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        pytest.param({}, "/v1/embeddings", id="openai"),
        pytest.param({"protocol": "plain"}, "/embedding", id="plain"),
        pytest.param({"protocol": "tei"}, "/embed", id="tei"),
        pytest.param({"url": "http://h/api/"}, "/api/v1/embeddings", id="base path"),
        pytest.param({"path": "/x", "url": "http://h/api"}, "/api/x", id="own path"),
    ],
)
def test_paths(make_plan, changes, target):
    assert make_plan(**changes).target_path == target


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "is not set", id="unset"),
        pytest.param("", "is not set", id="empty"),
        pytest.param("a\nb", "holds no usable key", id="line break"),
        pytest.param("密", "holds no usable key", id="not ASCII"),
    ],
)
def test_keys_that_cannot_be_used(make_plan, monkeypatch, value, message):
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(UsageError, match=f"the API key variable SOME_KEY {message}"):
        api_key(make_plan(api_key_env="SOME_KEY"))


def test_a_key_is_read_but_never_written(make_plan, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "s3cret")
    plan = make_plan(api_key_env="SOME_KEY")
    assert api_key(plan) == "s3cret"
    assert api_key(make_plan()) is None
    assert "s3cret" not in plan.to_json()


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        pytest.param("http://h", {"http_proxy": "http://p:1"}, "http://p:1", id="http"),
        pytest.param("https://h", {"https_proxy": "http://p:2"}, "http://p:2", id="https"),
        pytest.param("https://h", {"http_proxy": "http://p:1"}, None, id="of another scheme"),
        pytest.param("https://h", {"all_proxy": "http://p:3"}, "http://p:3", id="for all"),
        pytest.param("http://h", {"http_proxy": "p", "no_proxy": "h"}, None, id="excepted"),
        pytest.param("http://localhost:1", {"http_proxy": "p"}, None, id="never for loopback"),
        pytest.param("http://h", {}, None, id="none"),
    ],
)
def test_proxies(monkeypatch, url, environment, expected):
    plan = plan_of(monkeypatch, url=url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert plan.proxy is None
    assert proxy_for(Endpoint.parse(url)) == expected
    assert plan.of(
        Scenario(users=1, duration="1s"), name="x", run_id="r", run_dir="d", url=url, seed=1
    ).proxy == expected  # fmt: skip


def test_tls_is_checked_unless_told_otherwise(make_plan, certificate):
    checked = tls_context(make_plan(ca_cert=str(certificate[0])), ssl.SSLContext)
    unchecked = tls_context(make_plan(insecure=True), ssl.SSLContext)
    default = tls_context(make_plan(), ssl.SSLContext)
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)
    assert (default.verify_mode, default.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_certificate_that_cannot_be_read(make_plan, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(UsageError, match="cannot read the CA certificate"):
        tls_context(make_plan(ca_cert=str(path)), ssl.SSLContext)
    with pytest.raises(UsageError, match="cannot read the CA certificate"):
        tls_context(replace(make_plan(), ca_cert=str(tmp_path / "none")), ssl.SSLContext)
