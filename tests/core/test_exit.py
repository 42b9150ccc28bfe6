"""The exit code of every combination, by the precedence that CI systems rely on."""

from typing import Any

import pytest

from slokit.core.verdict import Verdict, final_exit, worst
from slokit.errors import ExitCode

USAGE, INTERNAL, STORE = ExitCode.USAGE, ExitCode.INTERNAL, ExitCode.STORE
SIGINT, SIGTERM = ExitCode.INTERRUPTED, ExitCode.TERMINATED


@pytest.mark.parametrize(
    ("verdict", "facts", "code"),
    [
        pytest.param(Verdict.PASS, {}, 0, id="pass"),
        pytest.param(Verdict.FAIL, {}, 1, id="fail"),
        pytest.param(Verdict.FAIL, {"holds_on_service": True}, 1, id="fail on service time"),
        pytest.param(Verdict.INVALID, {}, 4, id="invalid"),
        pytest.param(
            Verdict.INVALID, {"holds_on_service": True}, 1, id="a fail on service time first"
        ),
        pytest.param(Verdict.INCONCLUSIVE, {}, 3, id="inconclusive"),
        pytest.param(
            Verdict.INCONCLUSIVE, {"on_inconclusive": "warn"}, 0, id="inconclusive, only warned"
        ),
        pytest.param(None, {}, 3, id="no verdict"),
        pytest.param(Verdict.FAIL, {"on_inconclusive": "warn"}, 1, id="warn excuses no fail"),
        pytest.param(Verdict.INVALID, {"on_inconclusive": "warn"}, 4, id="nor an invalid run"),
        pytest.param(Verdict.FAIL, {"all_broken": True}, 5, id="no good answer"),
        pytest.param(
            Verdict.FAIL,
            {"all_broken": True, "holds_on_service": True},
            5,
            id="no good answer, before a fail",
        ),
        pytest.param(Verdict.PASS, {"interrupted": SIGINT}, 130, id="interrupted"),
        pytest.param(Verdict.FAIL, {"interrupted": SIGTERM}, 143, id="terminated"),
        pytest.param(
            Verdict.FAIL, {"interrupted": SIGINT, "all_broken": True}, 130, id="before broken"
        ),
        pytest.param(Verdict.PASS, {"error": STORE}, 74, id="store"),
        pytest.param(Verdict.PASS, {"error": INTERNAL, "interrupted": SIGINT}, 70, id="bug"),
        pytest.param(
            None, {"error": USAGE, "interrupted": SIGINT, "all_broken": True}, 2, id="usage first"
        ),
    ],
)
def test_precedence(verdict: Verdict | None, facts: dict[str, Any], code: int) -> None:
    assert final_exit(verdict, **facts) == code


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param([0, 0], 0, id="all pass"),
        pytest.param([0, 3], 3, id="inconclusive over pass"),
        pytest.param([3, 4], 4, id="invalid over inconclusive"),
        pytest.param([4, 1], 1, id="fail over invalid"),
        pytest.param([1, 5], 5, id="unreachable over fail"),
        pytest.param([5, 143], 143, id="terminated over unreachable"),
        pytest.param([143, 130], 130, id="interrupted over terminated"),
        pytest.param([130, 74], 74, id="store over interrupted"),
        pytest.param([74, 70], 70, id="bug over store"),
        pytest.param([70, 2, 0], 2, id="usage over all"),
        pytest.param([], 3, id="nothing judged"),
    ],
)
def test_worst(codes: list[int], expected: int) -> None:
    assert worst(map(ExitCode, codes)) == expected


def test_worst_knows_every_code() -> None:
    for code in ExitCode:
        assert worst([code, ExitCode.PASS]) is code
