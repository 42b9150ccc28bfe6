"""One run and one comparison as documents, written by hand: no code of ours made them."""

from typing import Any

import pytest

Document = dict[str, Any]


def times(p50: float | None, p95: float | None, p99: float | None) -> Document:
    return {
        "p50": p50,
        "p90": p50,
        "p95": p95,
        "p99": p99,
        "p999": None,
        "mean": p50,
        "max": None,
    }


def summary(count: int = 1500, errors: int = 3, dropped: int = 0, rps: float = 38.152) -> Document:
    return {
        "count": count,
        "errors": errors,
        "dropped": dropped,
        "rps": rps,
        "latency_s": times(0.0421, 0.0952, 0.1423),
        "service_s": times(0.0401, 0.0932, 0.1403),
        "lag_s": times(0.0001, 0.0003, 0.0021),
        "ratios": {"p99_p50": 3.38, "p999_p50": None},
    }


def objective(**changes: Any) -> Document:
    base: Document = {
        "expr": "p95 <= 150ms",
        "class": "short",
        "stage": None,
        "verdict": "pass",
        "value": 0.0952,
        "unit": "s",
        "ci": [0.0901, 0.0993],
        "bad": 12,
        "total": 1500,
        "n_eff": 612.4,
        "confidence": 0.95,
        "more_requests": None,
        "reason": "P95 95.2 ms is within 150 ms",
    }
    return base | changes


def run(**changes: Any) -> Document:
    base: Document = {
        "schema": 1,
        "run_id": "20261120T104424Z-mixed-ab12",
        "scenario": "mixed",
        "loop": "open",
        "verdict": "fail",
        "exit_code": 1,
        "reasons": ["P95 182 ms is above 150 ms: 143 of 1 200 requests (11.9 %) were slower"],
        "warnings": ["lag P99 4.2 ms is above 2 % of the limit"],
        "objectives": [
            objective(),
            objective(
                **{"class": "medium"},
                verdict="inconclusive",
                value=0.1421,
                ci=[0.1301, None],
                bad=65,
                more_requests=2400,
            ),
            objective(
                **{"class": "long"},
                verdict="fail",
                value=0.182,
                ci=[0.171, 0.199],
                bad=143,
                total=1200,
                reason="P95 182 ms is above 150 ms",
            ),
            objective(
                expr="errors[all] <= 0.2%",
                **{"class": "all"},
                value=0.0004,
                unit="ratio",
                ci=[0.0, 0.0019],
                bad=2,
                total=4200,
            ),
        ],
        "summary": {"short": summary(), "long": summary(1200), "all": summary(2700)},
        "generator": {
            "valid": True,
            "scheduled": 4200,
            "sent": 4198,
            "lag_p99_s": 0.0021,
            "cpu_ratio": 0.312,
            "dropped": 2,
        },
        "cuts": [
            {
                "stage": None,
                "label": "",
                "warmup_s": 5.0,
                "warmup_requests": 251,
                "state": "steady",
                "in_flight_before": 2.1,
                "in_flight_after": 2.4,
            }
        ],
        "environment": {
            "url": "http://127.0.0.1:8000",
            "model": "gte-base-zh",
            "engine": "onnxruntime",
            "rate_rps": 50.0,
            "duration_s": 120.0,
            "seed": 7,
            "labels": {"branch": "main"},
            "slokit": "0.1.0",
            "git_commit": None,
            "command": "slokit run mixed --rate 50",
        },
        "paths": {"run": "runs/20261120T104424Z-mixed-ab12"},
    }
    return base | changes


def nothing(**changes: Any) -> Document:
    """A run that never began."""
    base = run(
        run_id=None,
        scenario=None,
        loop=None,
        verdict=None,
        exit_code=5,
        reasons=["http://127.0.0.1:9 refused the connection"],
        warnings=[],
        objectives=[],
        summary={},
        generator=None,
        cuts=[],
        environment={},
        paths={},
    )
    return base | changes


def change(**changes: Any) -> Document:
    base: Document = {
        "base": 0.210,
        "candidate": 0.095,
        "base_ci": [0.199, 0.2204],
        "candidate_ci": [0.0902, None],
        "change_ratio": -0.5476,
        "ci": [-0.581, -0.512],
        "verdict": "improved",
    }
    return base | changes


def comparison(**changes: Any) -> Document:
    lost = change(
        candidate=None,
        candidate_ci=[None, None],
        change_ratio=None,
        ci=[None, None],
        verdict="inconclusive",
    )
    base: Document = {
        "schema": 1,
        "base": "20261120T104424Z-mixed-ab12",
        "candidate": "20261120T105424Z-mixed-cd34",
        "method": "bootstrap",
        "classes": {"short": {"p50": change(), "p95": change()}, "long": {"p99": lost}},
    }
    return base | changes


HOSTILE = (
    "a|b <script>alert(1)</script> `x` [l](http://e) @me *s* \x1b[31m\x00 \n# 1 [bold]中文[/bold]"
)


@pytest.fixture
def hostile() -> str:
    return HOSTILE


SAD_RUNS = [
    pytest.param(nothing(), id="nothing was judged"),
    pytest.param(
        run(
            objectives=[objective(value=None, ci=None, bad=0, total=0, n_eff=0.0)],
            summary={
                "all": summary(0, 0, 0, 0.0)
                | {clock: times(None, None, None) for clock in ("latency_s", "service_s", "lag_s")}
                | {"ratios": {"p99_p50": None, "p999_p50": None}}
            },
            generator={
                "valid": False,
                "scheduled": 0,
                "sent": 0,
                "lag_p99_s": None,
                "cpu_ratio": None,
                "dropped": 0,
            },
        ),
        id="no data: None everywhere",
    ),
    pytest.param(run(summary={"short": summary(900, 900, 0, 0.0)}), id="all failed"),
    pytest.param(run(summary={"short": summary(900, 900, 900, 0.0)}), id="dropped only"),
    pytest.param(
        run(
            scenario=HOSTILE,
            objectives=[objective(**{"class": HOSTILE}, reason=HOSTILE)],
            summary={HOSTILE: summary()},
            reasons=[HOSTILE],
            warnings=[HOSTILE],
            environment={"url": HOSTILE, "model": HOSTILE, "labels": {HOSTILE: HOSTILE}},
            paths={"run": HOSTILE},
        ),
        id="hostile names",
    ),
    pytest.param(run(reasons=["x" * 10_000, "很" * 10_000] * 20), id="endless reasons"),
    pytest.param(
        run(
            objectives=[objective(**{"class": f"class-{i}"}) for i in range(500)],
            summary={f"class-{i}" * 9: summary() for i in range(500)},
        ),
        id="500 classes",
    ),
    pytest.param(
        run(objectives=[objective(stage=i) for i in range(4)]),
        id="an objective in each of 4 stages",
    ),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`sad_run`: every document that is awkward to draw."""
    if "sad_run" in metafunc.fixturenames:
        metafunc.parametrize("sad_run", SAD_RUNS)


@pytest.fixture
def run_document() -> Any:
    return run


@pytest.fixture
def objective_row() -> Any:
    return objective


@pytest.fixture
def no_run_document() -> Any:
    return nothing


@pytest.fixture
def comparison_document() -> Any:
    return comparison
