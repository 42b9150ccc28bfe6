"""The state machines of the protection, in virtual time."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.errors import SetupError
from reference_server.protection.breaker import Breaker
from reference_server.protection.keys import load_keys
from reference_server.protection.rate_limit import RateLimiter
from reference_server.protection.service_rate import ServiceRate

GAPS_NS = st.lists(st.integers(0, 500_000_000), max_size=60)


@given(GAPS_NS, st.sampled_from([1, 4, 10, 250]), st.integers(1, 5))
def test_the_limiter_is_a_token_bucket(gaps_ns: list[int], rps: int, burst: int) -> None:
    """The oracle fills a bucket with exact fractions."""
    limiter, now_ns, tokens = RateLimiter(rps, burst), 0, Fraction(burst)
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        tokens = min(Fraction(burst), tokens + Fraction(gap_ns * rps, 10**9))
        wait_ns = limiter.take("someone", now_ns)
        if tokens >= 1:
            assert wait_ns == 0
            tokens -= 1
        else:
            assert wait_ns == (1 - tokens) * 10**9 / rps


@given(GAPS_NS, st.floats(0.1, 1000), st.integers(1, 5))
def test_the_wait_it_names_is_exact(gaps_ns: list[int], rps: float, burst: int) -> None:
    """One nanosecond earlier is too early; then is not."""
    limiter, now_ns = RateLimiter(rps, burst), 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        wait_ns = limiter.take("someone", now_ns)
        if wait_ns:
            assert limiter.take("someone", now_ns + wait_ns - 1) == 1
            now_ns += wait_ns
            assert limiter.take("someone", now_ns) == 0


def test_callers_have_buckets_of_their_own_and_few_are_remembered() -> None:
    limiter = RateLimiter(rps=1, burst=1)
    for number in range(10_001):
        assert limiter.take(f"caller {number}", now_ns=0) == 0
    assert limiter.take("caller 10000", now_ns=0) > 0
    assert limiter.take("caller 0", now_ns=0) == 0  # forgotten: it starts afresh


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=3, reset_s=10)
    for _ in range(2):
        breaker.failed(0)
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(0)
    assert (breaker.open, breaker.wait_s(0)) == (False, 0)
    breaker.failed(5)
    assert (breaker.open, breaker.wait_s(6)) == (True, 9)


def test_one_probe_at_a_time() -> None:
    """After the reset one request may go; whether it returns decides, and a lost one does not."""
    breaker = Breaker(failures=1, reset_s=10)
    breaker.failed(0)
    assert [breaker.wait_s(10), breaker.wait_s(10), breaker.wait_s(13)] == [0, 10, 7]
    breaker.failed(14)  # the probe's pass: from here it waits again
    assert breaker.wait_s(20) == 4
    assert breaker.wait_s(24) == 0  # a probe whose client leaves: no outcome
    assert breaker.wait_s(33) == 1
    assert breaker.wait_s(34) == 0
    breaker.succeeded()
    assert (breaker.open, breaker.wait_s(34)) == (False, 0)


def test_a_breaker_that_is_off_never_opens() -> None:
    breaker = Breaker(failures=0, reset_s=10)
    for _ in range(100):
        breaker.failed(0)
    assert (breaker.open, breaker.wait_s(0)) == (False, 0)


@given(st.lists(st.sampled_from(["ok", "bad", "ask", "tick"]), max_size=80))
def test_an_open_breaker_lets_one_request_through_a_reset(events: list[str]) -> None:
    breaker, now_s, passed = Breaker(failures=2, reset_s=5), 0.0, [-5.0]
    for event in events:
        if event == "ok":
            breaker.succeeded()
        elif event == "bad":
            breaker.failed(now_s)
        elif event == "tick":
            now_s += 1
        else:
            open_before, wait_s = breaker.open, breaker.wait_s(now_s)
            assert open_before or wait_s == 0
            assert 0 <= wait_s <= 5
            if open_before and wait_s == 0:
                assert now_s - passed[-1] >= 5
                passed.append(now_s)
        if not breaker.open:
            passed = [-5.0]


def test_nothing_measured_or_nothing_ahead_is_no_wait() -> None:
    """A bad measurement can never lock everybody out: an idle engine takes the next one."""
    rate = ServiceRate()
    assert rate.expected_s(ahead=10, own=1) == 0
    rate.began(10, 0)
    rate.ended(10, 100)
    assert rate.expected_s(ahead=0, own=10) == 0
    assert rate.expected_s(ahead=10, own=10) == pytest.approx(200)


def test_what_runs_is_ahead_too() -> None:
    rate = ServiceRate()
    rate.began(100, 0)
    rate.ended(100, 1)
    rate.began(50, 1)
    assert rate.expected_s(ahead=0, own=25) == pytest.approx(0.75)


def test_idle_time_is_not_service_time() -> None:
    rate = ServiceRate(memory_s=1e9)
    for start in (0, 1000):
        rate.began(100, start)
        rate.ended(100, start + 1)
    assert rate.expected_s(ahead=90, own=10) == pytest.approx(1)


def test_passes_side_by_side_share_the_time() -> None:
    """Two passes of 100 tokens in the same second: 200 tokens a second."""
    rate = ServiceRate(memory_s=1e9)
    rate.began(100, 0)
    rate.began(100, 0)
    rate.ended(100, 1)
    rate.ended(100, 1)
    assert rate.expected_s(ahead=300, own=100) == pytest.approx(2)


def test_the_estimate_follows_the_engine() -> None:
    """After three seconds of the new speed the old one weighs less than a tenth."""
    rate, now_s = ServiceRate(), 0.0
    for duration_s in (1.0, *[0.1] * 30):
        rate.began(100, now_s)
        now_s += duration_s
        rate.ended(100, now_s)
    assert rate.expected_s(ahead=900, own=100) == pytest.approx(1, rel=0.15)


def test_a_failed_pass_did_nothing() -> None:
    rate = ServiceRate(memory_s=1e9)
    rate.began(100, 0)
    rate.ended(100, 1)
    rate.began(900, 1)
    rate.ended(900, 2, computed=False)
    assert rate.expected_s(ahead=50, own=50) == pytest.approx(2)


def test_keys_come_from_a_variable_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("alpha\n\n  beta \n")
    keys = load_keys("THE_KEY", str(file), {"THE_KEY": " gamma\n"})
    assert keys is not None
    found = [keys.find(key) for key in (b"gamma", b"alpha", b"beta", b"", b"alph", b"\xff")]
    assert found == [0, 1, 2, None, None, None]
    assert "gamma" not in repr(vars(keys))
    assert load_keys("", "", {}) is None


@pytest.mark.parametrize(
    ("variable", "content", "message"),
    [
        pytest.param("THE_KEY", None, "the variable THE_KEY is not set or empty", id="variable"),
        pytest.param("", None, "No such file", id="file"),
        pytest.param("", b" \n", "holds no key", id="empty"),
        pytest.param("", b"\xff", "can't decode", id="not-text"),
    ],
)
def test_keys_that_are_not_there_are_refused(
    variable: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SetupError, match=message):
        load_keys(variable, "" if variable else str(file), {"THE_KEY": " "})
