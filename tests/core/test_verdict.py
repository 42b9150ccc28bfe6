"""The verdict on whole runs: every rule with a run that it decides."""

from collections.abc import Callable

import numpy as np
import pytest

from slokit.core.objective import Metric, Objective, parse_objective
from slokit.core.sample import Samples
from slokit.core.sequential import ONLY, Look
from slokit.core.steady import State
from slokit.core.verdict import Judgement, Load, Stage, Verdict, judge

Build = Callable[..., Samples]
Queue = Callable[..., tuple[np.ndarray, np.ndarray]]


def verdict_on(
    samples: Samples,
    *expressions: str,
    load: Load | None = None,
    warmup_s: float | None = 0,
    baseline: Samples | None = None,
    rate_rps: float | None = 100.0,
    look: Look = ONLY,
) -> Judgement:
    n = len(samples)
    end_s = float(samples.due_s[-1]) if n else 0.0
    return judge(
        samples,
        [parse_objective(expression) for expression in expressions],
        load or Load("open", rate_rps, n, n, end_s),
        warmup_s=warmup_s,
        baseline=baseline,
        look=look,
    )


def scattered(n: int, bad: int, *, good_s: float = 0.1, bad_s: float = 0.3) -> np.ndarray:
    """Latencies of n requests of which `bad`, at random places, are slow."""
    rng = np.random.default_rng(11)
    return np.where(rng.permutation(np.arange(n) < bad), bad_s, good_s + 1e-4 * rng.random(n))


def outcomes(n: int, bad: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(12)
    return np.where(rng.permutation(np.arange(n) < bad), kind, "ok")


@pytest.mark.parametrize(
    ("bad", "expression", "expected"),
    [
        pytest.param(10, "p95 <= 150ms", "pass", id="few slow"),
        pytest.param(400, "p95 <= 150ms", "fail", id="many slow"),
        pytest.param(100, "p95 <= 150ms", "inconclusive", id="as many as allowed"),
        pytest.param(10, "good(150ms) >= 95%", "pass", id="good share"),
        pytest.param(400, "GOOD(150ms) >= 95%", "fail", id="good share missed"),
        pytest.param(400, "p75 < 300ms", "pass", id="another quantile"),
        pytest.param(2000, "p50 <= 300ms", "pass", id="all exactly at the limit"),
        pytest.param(2000, "p50 < 300ms", "fail", id="which strictly is not below it"),
        pytest.param(10, "p95[short] <= 150ms", "pass", id="class by name"),
        pytest.param(10, "p95[all] <= 150ms", "pass", id="pooled"),
        pytest.param(10, "p95[long] <= 150ms", "inconclusive", id="a class without samples"),
        pytest.param(0, "good(1s) >= 100%", "pass", id="none may be slow"),
        pytest.param(1, "good(150ms) >= 100%", "fail", id="one is"),
        pytest.param(10, "rps >= 99", "pass", id="slow answers are answers"),
        pytest.param(10, "rps >= 101", "fail", id="more than was offered"),
        pytest.param(0, "rps >= 100", "pass", id="exactly what was offered"),
    ],
)
def test_one_objective(build: Build, bad: int, expression: str, expected: str) -> None:
    judgement = verdict_on(build(scattered(2000, bad)), expression)
    assert judgement.verdict == expected
    assert [result.verdict for result in judgement.objectives] == [expected]


@pytest.mark.parametrize(
    ("bad", "expression", "expected"),
    [
        pytest.param(0, "errors <= 0.2%", "pass", id="none of 2000"),
        pytest.param(40, "errors <= 0.2%", "fail", id="2 %"),
        pytest.param(4, "errors <= 0.2%", "inconclusive", id="as many as allowed"),
        pytest.param(0, "errors <= 0%", "pass", id="none allowed, none seen"),
        pytest.param(1, "errors <= 0%", "fail", id="none allowed, one seen"),
        pytest.param(400, "p95 <= 150ms", "fail", id="a lost request is not fast"),
        pytest.param(400, "p95(service) <= 150ms", "fail", id="nor in service time"),
        pytest.param(400, "rps >= 99", "fail", id="nor an answer"),
        pytest.param(20, "rps >= 90", "pass", id="answers enough all the same"),
        pytest.param(2000, "p95 <= 150ms", "fail", id="dead service"),
    ],
)
@pytest.mark.parametrize("kind", ["timeout", "http_5xx", "dropped", "invalid_body"])
def test_errors(build: Build, kind: str, bad: int, expression: str, expected: str) -> None:
    samples = build(np.full(2000, 0.1), outcome=outcomes(2000, bad, kind))
    assert verdict_on(samples, expression).verdict == expected


def test_a_dead_service_fails_everything_and_has_no_quantile(build: Build) -> None:
    samples = build(np.full(300, 0.002), outcome="http_5xx")
    judgement = verdict_on(samples, "p95 <= 150ms", "errors <= 0.2%", "good(1s) >= 98.7%")
    assert [result.verdict for result in judgement.objectives] == ["fail"] * 3
    latency, errors, _ = judgement.objectives
    assert (latency.value, latency.ci) == (None, (None, None))
    assert (errors.value, errors.bad, errors.total) == (1.0, 300, 300)
    assert judgement.holds_on_service
    assert judgement.reasons[0] == (
        "short: P95 falls on failed requests, 150 ms is the limit: 300 of 300 requests (100 %) "
        "were slower or failed, 5 % are allowed"
    )


def test_quantile_and_good_share_are_decided_alike(build: Build) -> None:
    for bad in range(0, 200, 7):
        judgement = verdict_on(
            build(scattered(2000, bad)), "p95[all] <= 150ms", "good(150ms)[all] >= 95%"
        )
        quantile, good = judgement.objectives
        assert (quantile.verdict, quantile.bad, quantile.n_eff) == (
            good.verdict,
            good.bad,
            good.n_eff,
        )


def test_numbers_and_sentence_of_a_result(build: Build) -> None:
    judgement = verdict_on(build(scattered(1200, 143)), "p95 <= 150ms")
    [result] = judgement.objectives
    assert (result.expr, result.text_class, result.stage) == ("p95 <= 150ms", "short", None)
    assert result.value == pytest.approx(0.3)
    assert (result.bad, result.total) == (143, 1200)
    assert (result.confidence, result.more_requests) == (0.95, None)
    assert 60 < result.n_eff < 1200
    [reason] = judgement.reasons
    assert reason.replace("\N{NO-BREAK SPACE}", " ") == (
        "short: P95 300 ms is above 150 ms: 143 of 1 200 requests (11.9 %) were slower, "
        "5 % are allowed"
    )
    assert judgement.warnings == ()


@pytest.mark.parametrize(
    ("expression", "failed", "sentence"),
    [
        pytest.param(
            "errors <= 5%",
            0,
            "errors keep within 5 %: 0 of 1 000 requests (0 %) failed",
            id="errors kept",
        ),
        pytest.param(
            "errors <= 5%",
            200,
            "errors exceed 5 %: 200 of 1 000 requests (20 %) failed",
            id="errors exceeded",
        ),
        pytest.param(
            "errors <= 5%",
            50,
            "errors are not decided against 5 %: 50 of 1 000 requests (5 %) failed; too near the "
            "limit for any affordable run",
            id="errors undecided",
        ),
        pytest.param(
            "good(150ms) >= 98.7%",
            0,
            "100 % within 150 ms meets 98.7 %: 0 of 1 000 requests (0 %) were slower, "
            "1.3 % are allowed",
            id="good share met",
        ),
        pytest.param(
            "p95(service) <= 150ms",
            200,
            "P95 of the service time falls on failed requests, 150 ms is the limit: 200 of 1 000 "
            "requests (20 %) were slower or failed, 5 % are allowed",
            id="quantile on failed requests",
        ),
        pytest.param(
            "rps >= 99.9",
            200,
            "80 good answers/s miss 99.9: 200 of 1 000 requests (20 %) failed",
            id="rate missed",
        ),
        pytest.param(
            "rps >= 95",
            50,
            "95 good answers/s are not decided against 95: 50 of 1 000 requests (5 %) failed; "
            "too near the limit for any affordable run",
            id="rate undecided",
        ),
        pytest.param(
            "rps >= 120",
            0,
            "only 100 requests/s were offered, 120 asked",
            id="more than was offered",
        ),
    ],
)
def test_sentences(build: Build, expression: str, failed: int, sentence: str) -> None:
    samples = build(np.full(1000, 0.1), outcome=outcomes(1000, failed, "http_5xx"))
    assert [r.reason for r in verdict_on(samples, expression).objectives] == [sentence]


def test_what_is_missing_is_said(build: Build) -> None:
    [result] = verdict_on(build(scattered(200, 4)), "p95 <= 150ms").objectives
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.more_requests is not None
    assert 20 <= result.more_requests <= 2000
    assert result.reason.endswith("more requests would probably decide")
    assert "is not decided against 150 ms" in result.reason


def test_every_class_must_keep_the_promise(build: Build) -> None:
    classes = np.tile(["short", "long"], 1000)
    latency = np.where(classes == "long", 0.3, 0.1)
    judgement = verdict_on(
        build(latency, text_class=classes), "p95 <= 150ms", "errors <= 0.5%", "rps >= 99"
    )
    assert [(r.expr, r.text_class, r.verdict) for r in judgement.objectives] == [
        ("p95 <= 150ms", "short", "pass"),
        ("p95 <= 150ms", "long", "fail"),
        ("errors <= 0.5%", "short", "pass"),
        ("errors <= 0.5%", "long", "pass"),
        ("rps >= 99", "all", "pass"),
    ]
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reasons[0].startswith("long: P95 300 ms is above 150 ms")


def test_the_rate_of_a_class_is_its_share(build: Build) -> None:
    samples = build(np.full(2000, 0.1), text_class=np.tile(["a", "a", "a", "b"], 500))
    [result] = verdict_on(samples, "rps[b] >= 20").objectives
    assert result.verdict is Verdict.PASS
    assert result.value == pytest.approx(25.0)


def test_one_of_many_may_be_chance(build: Build) -> None:
    """A share that fails alone, at about p = 0.02, does not fail among ten."""
    samples = build(scattered(1000, 70))
    assert verdict_on(samples, "p95 <= 150ms").verdict is Verdict.FAIL
    many = [f"p95 <= {limit}ms" for limit in range(150, 160)]
    passing = [f"p95 <= {limit}ms" for limit in range(400, 430)]
    assert verdict_on(samples, *many[:1], *passing).verdict is Verdict.INCONCLUSIVE
    [result] = verdict_on(samples, *many[:1], *passing).objectives[:1]
    assert result.reason.endswith("among 31 results that may be chance")


@pytest.mark.parametrize(
    "expressions",
    [
        pytest.param((), id="no objective"),
        pytest.param(("p95 <= 1s",), id="one"),
        pytest.param(("errors <= 1%", "rps >= 1", "p95 <= baseline", "p95[x] <= 1s"), id="each"),
    ],
)
def test_no_data_is_inconclusive(build: Build, expressions: tuple[str, ...]) -> None:
    judgement = verdict_on(build([]), *expressions, warmup_s=None)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reasons
    assert all("there is no data" in result.reason for result in judgement.objectives)
    assert (judgement.span_s, judgement.generator.lag_p99_s) == (0.0, None)


def test_data_without_objectives_is_inconclusive(build: Build) -> None:
    judgement = verdict_on(build(np.full(100, 0.1)))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reasons == ("there is no objective, or no stage of constant load, to judge",)


def test_a_run_inside_its_warm_up_says_so(build: Build) -> None:
    judgement = verdict_on(build(np.full(300, 0.1)), "p95 <= 150ms", warmup_s=None)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.warnings == ("all 300 requests fell into the warm-up",)


def test_the_cut_is_reported_and_its_requests_do_not_count(build: Build) -> None:
    """5 s at 100 rps, all of them slow: the rest passes."""
    latency = np.concatenate([np.full(500, 0.5), scattered(900, 5)])
    samples = build(latency)
    judgement = verdict_on(samples, "p95 <= 150ms", warmup_s=None)
    [cut] = judgement.cuts
    assert (cut.stage, cut.label, cut.warmup_requests) == (None, "", 500)
    assert cut.warmup_s == pytest.approx(5.0)
    assert judgement.verdict is Verdict.PASS
    assert judgement.objectives[0].total == 900
    assert len(judgement.samples(samples)) == 900
    assert judgement.span_s == pytest.approx(9.0, abs=0.02)


def test_interrupted_requests_are_not_judged(build: Build) -> None:
    kinds = np.array(["ok"] * 1990 + ["interrupted"] * 10)
    judgement = verdict_on(build(np.full(2000, 0.1), outcome=kinds), "errors <= 0.2%")
    assert (judgement.verdict, judgement.objectives[0].total) == ("pass", 1990)
    assert judgement.warnings == (
        "10 requests were under way when the run was stopped; they are not judged",
    )


STAGES = (
    Stage(0.0, 10.0, constant=True, label="10 users"),
    Stage(10.0, 15.0, constant=False, label="ramp"),
    Stage(15.0, 25.0, constant=True, rate_rps=50.0),
)


def staged(build: Build) -> Samples:
    """1000 quick requests, 500 dreadful ones on the ramp, 1000 slow ones."""
    latency = np.concatenate([np.full(1000, 0.1), np.full(500, 60.0), np.full(1000, 0.3)])
    return build(latency, stage=np.repeat([0, 1, 2], [1000, 500, 1000]))


def test_each_constant_stage_is_judged_alone(build: Build) -> None:
    load = Load("closed", None, 2500, 2500, 25.0, STAGES)
    judgement = verdict_on(staged(build), "p95 <= 150ms", load=load)
    assert [(r.stage, r.verdict, r.total) for r in judgement.objectives] == [
        (0, "pass", 1000),
        (2, "fail", 1000),
    ]
    assert [(cut.stage, cut.label) for cut in judgement.cuts] == [(0, "10 users"), (2, "")]
    assert judgement.reasons[0].startswith("stage 3: short: P95 300 ms is above 150 ms")
    assert judgement.span_s == pytest.approx(20.0)


def test_a_stage_has_its_own_rate_and_warm_up(build: Build) -> None:
    load = Load("open", 100.0, 2500, 2500, 25.0, STAGES)
    judgement = verdict_on(staged(build), "rps >= 40", load=load, warmup_s=2.0)
    assert [r.value for r in judgement.objectives] == [100.0, 50.0]
    assert [cut.warmup_requests for cut in judgement.cuts] == [200, 200]


def test_a_single_ramp_is_not_judged(build: Build) -> None:
    load = Load("open", 100.0, 500, 500, 5.0, (Stage(0.0, 5.0, constant=False),))
    judgement = verdict_on(build(np.full(500, 0.1)), "p95 <= 150ms", load=load)
    assert (judgement.verdict, judgement.cuts) == (Verdict.INCONCLUSIVE, ())


def test_a_stage_without_requests_of_a_class(build: Build) -> None:
    classes = np.repeat(["short", "long"], [1500, 1000])
    samples = build(
        np.full(2500, 0.1), text_class=classes, stage=np.repeat([0, 1, 2], [1000, 500, 1000])
    )
    load = Load("open", 100.0, 2500, 2500, 25.0, STAGES)
    judgement = verdict_on(samples, "p95 <= 150ms", load=load)
    assert [(r.text_class, r.stage, r.verdict) for r in judgement.objectives] == [
        ("short", 0, "pass"),
        ("long", 0, "inconclusive"),
        ("short", 2, "inconclusive"),
        ("long", 2, "pass"),
    ]


def overloaded(build: Build, *, lag_s: object = 0.0) -> Samples:
    """A service that answers 50 of the 100 requests a second it is asked."""
    return build(0.02 + 0.01 * np.arange(1000), lag_s=lag_s)


@pytest.mark.parametrize(
    ("expression", "own_verdict"),
    [
        pytest.param("errors <= 1%", "pass", id="no errors: that objective holds"),
        pytest.param("p95 <= 1h", "inconclusive", id="no limit holds for ever"),
        pytest.param("p95 <= 100ms", "fail", id="this one is missed already"),
        pytest.param("rps >= 60", "fail", id="nor is the rate kept"),
    ],
)
def test_overload_is_a_fail(build: Build, expression: str, own_verdict: str) -> None:
    judgement = verdict_on(overloaded(build), expression)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.holds_on_service
    assert judgement.cuts[0].state is State.OVERLOADED
    assert judgement.objectives[0].verdict == own_verdict
    assert judgement.reasons[0].startswith("in-flight grew from ")
    assert judgement.reasons[0].endswith(
        "and never settled: the service answers fewer than it is asked"
    )


def test_a_closed_loop_cannot_be_overloaded(build: Build) -> None:
    load = Load("closed", None, 1000, 1000, 10.0)
    judgement = verdict_on(overloaded(build), "errors <= 1%", load=load)
    assert (judgement.verdict, judgement.cuts[0].state) == (Verdict.PASS, State.STEADY)


def test_what_drifts_does_not_pass(build: Build) -> None:
    """Latency, and with it the in-flight count, falls all through the run."""
    judgement = verdict_on(build(np.linspace(0.5, 0.05, 2000)), "rps >= 50", "errors <= 1%")
    assert judgement.cuts[0].state is State.DRIFTING
    assert [r.verdict for r in judgement.objectives] == ["inconclusive", "pass"]
    assert judgement.reasons[0].endswith("but in-flight never settled")


@pytest.mark.parametrize(
    ("answered", "asked", "expected"),
    [
        pytest.param(1000, 90, "pass", id="above"),
        pytest.param(1000, 110, "fail", id="below"),
        pytest.param(1000, 100, "inconclusive", id="just so"),
        pytest.param(9, 1, "inconclusive", id="too few answers"),
    ],
)
def test_throughput_of_a_closed_loop(
    build: Build, answered: int, asked: int, expected: str
) -> None:
    """About 100 answers a second, by their times of completion, in ten slices."""
    rng = np.random.default_rng(5)
    samples = build(rng.exponential(0.1, answered))
    load = Load("closed", None, answered, answered, answered / 100)
    assert verdict_on(samples, f"rps >= {asked}", load=load).verdict == expected


def test_throughput_without_any_time(build: Build) -> None:
    """Everything done at one instant tells no rate."""
    samples = build(0.5 - np.arange(50) / 100)
    load = Load("closed", None, 50, 50, 0.5)
    judgement = verdict_on(samples, "rps >= 5", load=load)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reasons[0].endswith("all at one instant, tell no rate")


@pytest.mark.parametrize(
    "metric", [Metric.LATENCY, Metric.GOOD, Metric.ERRORS, Metric.RPS, Metric.RELATIVE]
)
def test_an_objective_without_its_numbers_is_refused(build: Build, metric: Metric) -> None:
    samples = build(np.full(20, 0.1))
    with pytest.raises(ValueError, match=r"objective needs a .*: Objective\(expr='half'"):
        judge(
            samples,
            [Objective("half", metric)],
            Load("open", 100.0, 20, 20, 0.2),
            warmup_s=0,
            baseline=samples,
        )


class TestTheGenerator:
    """Who is to blame: the service, or the program that asks it?"""

    def test_a_late_generator_that_decides_makes_the_run_invalid(self, build: Build) -> None:
        late = build(np.full(2000, 0.3), lag_s=0.2)
        judgement = verdict_on(late, "p95 <= 150ms")
        assert judgement.verdict is Verdict.INVALID
        assert not judgement.holds_on_service
        assert not judgement.generator.valid
        assert judgement.generator.lag_p99_s == pytest.approx(0.2)
        assert judgement.reasons[0] == (
            "the generator decided the outcome: fail as users feel it, pass without the "
            "generator's own lag (P99 200 ms)"
        )

    def test_a_late_generator_that_decides_nothing_is_a_warning(self, build: Build) -> None:
        judgement = verdict_on(build(np.full(2000, 0.1), lag_s=0.01), "p95 <= 150ms")
        assert (judgement.verdict, judgement.generator.valid) == (Verdict.PASS, True)
        assert judgement.warnings == (
            "the generator sent late: lag P99 10 ms, up to 3 ms is harmless",
        )

    def test_a_lag_that_makes_nothing_bad_never_makes_a_run_invalid(self) -> None:
        """Every request is well inside the limit with the lag and without it.

        The lag still moves n_eff, and with it some runs over the edge of a pass: the runs
        in which it does are counted, so that the test is about something.
        """
        turned = 0
        for seed in range(60):
            rng = np.random.default_rng(seed)
            due = np.cumsum(rng.exponential(0.025, 700))
            end = np.empty_like(due)  # one server, 15 ms a request
            free = 0.0
            for i, arrival in enumerate(due):
                end[i] = free = max(free, arrival) + 0.015
            lag = rng.exponential(0.002, 700)
            words = np.full(700, "ok"), np.full(700, "short"), np.zeros(700, dtype=np.int64)
            late = Samples(due, due + lag, end + lag, lag, *words)
            prompt = Samples(due, due, end, np.zeros(700), *words)
            verdicts = [verdict_on(samples, "p95 <= 1s").verdict for samples in (late, prompt)]
            assert Verdict.INVALID not in verdicts
            turned += verdicts[0] is not verdicts[1]
        assert turned >= 1

    def test_a_queue_that_only_the_lag_built_makes_the_run_invalid(self, build: Build) -> None:
        """Counted from due the in-flight count grows to 200; from sent it stays at 10."""
        lag_s = np.linspace(0, 2, 2000)
        judgement = verdict_on(build(lag_s + 0.1, lag_s=lag_s), "errors <= 5%")
        assert judgement.verdict is Verdict.INVALID
        assert "fail as users feel it, pass without the generator's own lag" in judgement.reasons[0]

    def test_a_slow_service_fails_however_late_the_generator(self, build: Build) -> None:
        judgement = verdict_on(build(np.full(2000, 0.5), lag_s=0.2), "p95 <= 150ms")
        assert (judgement.verdict, judgement.holds_on_service) == (Verdict.FAIL, True)

    def test_queueing_for_a_slot_is_not_service_time(self, build: Build) -> None:
        """Sent late because slots were full: users feel it, so it fails, but not on service."""
        samples = build(np.full(2000, 0.3))
        waited = Samples(
            samples.due_s,
            samples.due_s + 0.2,
            samples.end_s,
            samples.lag_s,
            samples.outcome,
            samples.text_class,
            samples.stage,
        )
        judgement = verdict_on(waited, "p95 <= 150ms", "p95(service) <= 150ms")
        assert (judgement.verdict, judgement.holds_on_service) == (Verdict.FAIL, False)
        assert [r.verdict for r in judgement.objectives] == ["fail", "pass"]

    @pytest.mark.parametrize(
        ("scheduled", "sent", "latency_s", "expected"),
        [
            pytest.param(2000, 1960, 0.1, "pass", id="98 % are enough"),
            pytest.param(2000, 1959, 0.1, "invalid", id="fewer never pass"),
            pytest.param(2000, 1000, 0.3, "fail", id="but a fail stands"),
        ],
    )
    def test_requests_left_out(
        self, build: Build, *, scheduled: int, sent: int, latency_s: float, expected: str
    ) -> None:
        load = Load("open", 100.0, scheduled, sent, 20.0)
        judgement = verdict_on(build(np.full(sent, latency_s)), "p95 <= 150ms", load=load)
        assert judgement.verdict == expected
        left_out = any("left out" in reason for reason in judgement.reasons)
        assert left_out == (sent < 1960)

    @pytest.mark.parametrize("excuse", ["dropped", "interrupted"])
    def test_requests_that_could_not_be_sent_are_not_its_fault(
        self, build: Build, excuse: str
    ) -> None:
        samples = build(np.full(2000, 0.1), outcome=outcomes(2000, 100, excuse))
        unsent = np.where(samples.ok, samples.sent_s, np.nan)
        samples = Samples(
            samples.due_s,
            unsent,
            samples.end_s,
            samples.lag_s,
            samples.outcome,
            samples.text_class,
            samples.stage,
        )
        load = Load("open", 100.0, 2000, 1900, 20.0)
        judgement = verdict_on(samples, "good(1s) >= 50%", load=load)
        assert judgement.verdict is Verdict.PASS
        assert judgement.generator.dropped == (100 if excuse == "dropped" else 0)

    @pytest.mark.parametrize(("cpu_ratio", "warned"), [(None, False), (0.8, False), (0.81, True)])
    def test_a_busy_process_is_a_warning(
        self, build: Build, *, cpu_ratio: float | None, warned: bool
    ) -> None:
        load = Load("open", 100.0, 2000, 2000, 20.0, cpu_ratio=cpu_ratio)
        judgement = verdict_on(build(np.full(2000, 0.1)), "p95 <= 150ms", load=load)
        assert judgement.verdict is Verdict.PASS
        assert bool(judgement.warnings) == warned


class TestAgainstABaseline:
    """Relative objectives: decided by the comparison of two runs."""

    def run(self, build: Build, factor: float, seed: int) -> Samples:
        return build(factor * np.random.default_rng(seed).lognormal(-2, 0.3, 3000))

    @pytest.mark.parametrize(
        ("factor", "expression", "expected"),
        [
            pytest.param(1.0, "p95 <= baseline + 20%", "pass", id="unchanged, with a margin"),
            pytest.param(1.0, "p95 < baseline", "inconclusive", id="unchanged, to be faster"),
            pytest.param(0.7, "p95 < baseline", "pass", id="faster"),
            pytest.param(1.5, "p95 <= baseline + 5%", "fail", id="slower"),
            pytest.param(1.5, "p95(service) <= baseline + 5%", "fail", id="slower service"),
            pytest.param(1.5, "p95[long] <= baseline", "inconclusive", id="no such class"),
        ],
    )
    def test_change(self, build: Build, factor: float, expression: str, expected: str) -> None:
        judgement = verdict_on(
            self.run(build, factor, 1), expression, baseline=self.run(build, 1.0, 2)
        )
        assert judgement.verdict == expected
        [result] = judgement.objectives
        if result.value is not None:
            assert result.value == pytest.approx(factor, rel=0.1)
            assert result.ci is not None
            low, high = result.ci
            assert low is not None
            assert high is not None
            assert low < result.value < high
            assert "(weak: two stored runs, block bootstrap)" in result.reason

    @pytest.mark.parametrize("empty", [True, False])
    def test_without_data_there_is_no_change(self, build: Build, *, empty: bool) -> None:
        judgement = verdict_on(
            self.run(build, 1.0, 1), "p95 <= baseline", baseline=build([]) if empty else None
        )
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "the baseline has no data" in judgement.reasons[0]

    def test_a_dead_candidate_is_slower(self, build: Build) -> None:
        dead = build(np.full(500, 0.1), outcome="timeout")
        judgement = verdict_on(dead, "p95 <= baseline", baseline=self.run(build, 1.0, 2))
        [result] = judgement.objectives
        assert (result.verdict, result.value, result.ci) == ("fail", None, (None, None))


def test_a_freezing_service_is_judged_by_what_users_feel(build: Build) -> None:
    """2 s of freeze in every 10 s: the true P95 is 1.5 s, though 80 % take 8 ms."""
    due = np.arange(6000) / 100
    into_cycle = due % 10
    latency = np.where(into_cycle < 2, 2 - into_cycle, 0) + 0.008
    judgement = verdict_on(build(latency), "p95 <= 150ms", "p75 <= 150ms")
    assert judgement.objectives[0].value == pytest.approx(1.5, abs=0.05)
    assert judgement.cuts[0].state is State.STEADY
    assert judgement.verdict is Verdict.FAIL


def test_the_order_of_requests_due_together_changes_nothing(build: Build) -> None:
    rng = np.random.default_rng(8)
    samples = build(rng.exponential(0.05, 600))
    together = Samples(
        np.floor(samples.due_s),
        np.floor(samples.due_s),
        samples.end_s,
        samples.lag_s,
        samples.outcome,
        samples.text_class,
        samples.stage,
    )
    order = np.lexsort([rng.random(600), together.due_s])
    shuffled = Samples(*(getattr(together, name)[order] for name in Samples.__dataclass_fields__))
    one, other = (verdict_on(s, "p95[all] <= 2s") for s in (together, shuffled))
    assert one.objectives[0].value == other.objectives[0].value
    assert one.objectives[0].bad == other.objectives[0].bad


def test_a_steady_queue_keeps_its_analytic_promise(queue: Queue) -> None:
    """M/M/1: sojourn times are exponential with mean 1 / (mu - lambda), P95 = 3 times that."""
    due, end = queue(20_000, 50.0, 0.01, seed=3)
    n = len(due)
    samples = Samples(
        due, due, end, np.zeros(n), np.full(n, "ok"), np.full(n, "short"), np.zeros(n, dtype=int)
    )
    true_p95_s = -np.log(0.05) / (100 - 50)
    judgement = verdict_on(samples, "p95 <= 90ms", "p95 <= 40ms", warmup_s=None, rate_rps=50.0)
    assert [r.verdict for r in judgement.objectives] == ["pass", "fail"]
    for result in judgement.objectives:
        assert result.ci is not None
        low, high = result.ci
        assert low is not None
        assert high is not None
        assert low < true_p95_s < high


class TestWideMargin:
    """A quick, short run whose requests depend on each other too much for the plain test."""

    @pytest.fixture
    def quick(self, build: Build) -> Samples:
        rng = np.random.default_rng(4)
        wave = 1 + np.sin(np.arange(341) / 341 * 12 * np.pi)
        return build(0.002 * rng.exponential(1, 341) + 0.004 * wave)

    def test_it_passes_and_the_interval_says_so(self, quick: Samples) -> None:
        judgement = verdict_on(quick, "p95 <= 150ms", "good(150ms) >= 95%")
        p95, good = judgement.objectives
        assert judgement.verdict is Verdict.PASS
        assert 20 <= p95.n_eff < 60
        assert "0 took more than a third of the limit" in p95.reason
        assert p95.ci is not None
        assert p95.ci[1] is not None
        assert p95.value is not None
        assert p95.value <= p95.ci[1] <= 0.15
        assert good.ci is not None
        assert good.ci[0] is not None
        assert 0.95 <= good.ci[0] <= 1.0

    def test_the_upper_end_is_the_smallest_limit_that_passes(self, quick: Samples) -> None:
        [result] = verdict_on(quick, "p95 <= 150ms").objectives
        assert result.ci is not None
        assert result.ci[1] is not None
        for factor, expected in ((1.02, Verdict.PASS), (0.98, Verdict.INCONCLUSIVE)):
            limit = f"p95 <= {1000 * factor * result.ci[1]:.6f}ms"
            assert verdict_on(quick, limit).verdict is expected, limit

    def test_without_enough_evidence_it_says_what_is_missing(self, quick: Samples) -> None:
        judgement = verdict_on(quick.where(quick.due_s < 2.5), "p95 <= 150ms")
        [result] = judgement.objectives
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.more_requests is not None


class TestLooks:
    LOOK = Look(2, 5, until_s=10.0)

    def test_only_what_was_due_by_then_counts(self, build: Build) -> None:
        latency = np.concatenate([np.full(1001, 0.1), np.full(999, 9.9)])
        judgement = verdict_on(build(latency), "p95 <= 5s", look=self.LOOK)
        assert judgement.verdict is Verdict.PASS
        assert judgement.judged.sum() == judgement.objectives[0].total == 1001
        assert judgement.span_s == pytest.approx(10.0)
        assert judgement.look == self.LOOK
        assert judgement.reasons[-1] == "look 2 of 5, at 10 s: each may be wrong with chance 1 %"

    def test_what_was_in_flight_at_the_stop_is_no_matter(self, build: Build) -> None:
        outcome = np.where(np.arange(2000) < 1990, "ok", "interrupted")
        samples = build(np.full(2000, 0.1), outcome=outcome)
        assert verdict_on(samples, "p95 <= 5s", look=self.LOOK).warnings == ()
        assert len(verdict_on(samples, "p95 <= 5s").warnings) == 1

    def test_each_look_has_its_share_of_alpha_only(self, build: Build) -> None:
        """35 of 1000 pass at 0.05; at 0.01 they do not."""
        samples = build(scattered(1000, 35))
        once = verdict_on(samples, "errors <= 5%", "good(150ms) >= 50%")
        assert once.verdict is Verdict.PASS
        errors = build(np.full(1000, 0.1), outcome=outcomes(1000, 33, "timeout"))
        assert verdict_on(errors, "errors <= 5%").verdict is Verdict.PASS
        [result] = verdict_on(errors, "errors <= 5%", look=Look(5, 5)).objectives
        assert (result.verdict, result.confidence) == ("inconclusive", 0.99)
        assert result.ci is not None
        assert result.ci[1] is not None
        assert result.ci[1] > 0.05

    def test_stages_end_with_the_look(self, build: Build) -> None:
        load = Load("open", 100.0, 2000, 2000, 20.0, (Stage(0.0, 20.0),))
        judgement = verdict_on(build(np.full(2000, 0.1)), "p95 <= 5s", load=load, look=self.LOOK)
        assert judgement.span_s == pytest.approx(10.0)
