"""Rates, stages and traces on their way from a scenario to the samples of a run."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from slokit.core.evidence import prospects
from slokit.core.judgement import Stage
from slokit.core.sequential import ONLY
from slokit.errors import UsageError
from slokit.judging import Terms
from slokit.load.launcher import launch
from slokit.load.plan import PATHS, LoadPlan
from slokit.load.protocol import PROTOCOLS
from slokit.load.scenario import Scenario, all_scenarios, find_scenario, read_scenario
from slokit.load.schedule import judged_stages, schedule_of
from slokit.load.texts import TextSource
from slokit.load.trace import read_trace
from slokit.measure import Order
from slokit.runs.store import read_samples

SECOND_NS = 1_000_000_000


@pytest.fixture
def plan_of(tmp_path):
    """The plan of a scenario, given as keywords or as one."""

    def make(scenario=None, *, url="http://localhost:1", texts_file=None, **changes):
        load = scenario or Scenario(**changes)
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        return LoadPlan.of(
            load, name="x", texts_file=texts_file, run_id="r", run_dir=str(run), url=url, seed=5
        )

    return make


def test_each_protocol_has_its_route():
    assert set(PATHS) == set(PROTOCOLS)


@pytest.mark.parametrize(
    ("load", "stages"),
    [
        pytest.param({"rate": "50rps", "duration": "60s"}, (), id="one rate"),
        pytest.param({"rate": "5rps to 9rps", "duration": "60s"}, (), id="a ramp as a whole"),
        pytest.param({"users": 3, "duration": "60s"}, (), id="users"),
        pytest.param(
            {"rate": "20rps, 100rps at 60s for 20s", "duration": "2m"},
            (
                Stage(0, 60, label="before", rate_rps=20),
                Stage(60, 80, label="spike", rate_rps=100),
                Stage(80, 120, label="after", rate_rps=20),
            ),
            id="spike",
        ),
        pytest.param(
            {"stages": (("10rps", "30s"), ("10rps to 50rps", "20s"), ("50rps", "30s", "top"))},
            (
                Stage(0, 30, label="10 requests/s", rate_rps=10),
                Stage(30, 50, constant=False, label="10 to 50 requests/s", rate_rps=30),
                Stage(50, 80, label="top", rate_rps=50),
            ),
            id="rates with a ramp between",
        ),
        pytest.param(
            {"stages": ((1, "30s"), (5, "20s"), (9, "1s", "crowd"))},
            (
                Stage(0, 30, label="1 user"),
                Stage(30, 50, label="5 users"),
                Stage(50, 51, label="crowd"),
            ),
            id="users in steps",
        ),
    ],
)
def test_stages_as_the_verdict_knows_them(plan_of, load, stages):
    plan = plan_of(**load)
    assert judged_stages(plan) == stages
    assert LoadPlan.from_json(plan.to_json()) == plan


def test_the_mean_rate_and_the_slots_of_a_spike(plan_of):
    plan = plan_of(rate="20rps, 1000rps at 10s for 10s", duration="40s")
    assert (plan.rate_rps, plan.expected_requests) == (265, 10_600)
    assert plan.max_in_flight == 2 * 1000 * 10


def test_each_worker_sends_its_share(plan_of):
    plan = plan_of(stages=(("20rps", "5s"), ("100rps", "5s")))
    whole = schedule_of(plan)
    shares = [schedule_of(replace(plan, worker=i, workers=3)) for i in range(3)]
    assert sorted(due for share in shares for due in share.due_ns) == list(whole.due_ns)
    assert whole.stage_starts_ns == (5 * SECOND_NS,)
    assert {share.stage_starts_ns for share in shares} == {whole.stage_starts_ns}


def finish(plan, path):
    """Run a plan to its end and return its samples as a DataFrame."""
    with launch(replace(plan, model="tiny", dim=4), path) as load:
        assert load.wait(40)
        assert load.failure is None
    return read_samples(Path(plan.run_dir)).to_pandas()


def test_samples_carry_the_stage_they_were_due_in(start_server, plan_of):
    stages = (("20rps", "1s"), ("60rps", "1s"), ("20rps", "1s"))
    plan = plan_of(url=start_server().url, arrivals="constant", stages=stages)
    samples = finish(plan, find_scenario("rate_ramp"))
    assert samples.stage.value_counts().to_dict() == {0: 20, 1: 60, 2: 20}
    assert (samples.stage == samples.due_ns // SECOND_NS).all()


def test_a_trace_is_played_as_it_was_recorded(start_server, plan_of, tmp_path):
    rows = [(100.0, "你好"), (100.5, "请问"), (100.5, "再见"), (101.0, "晚安"), (109.0, "太晚")]
    trace = tmp_path / "mine.csv"
    trace.write_text("time,text\n" + "".join(f"{at},{text}\n" for at, text in rows))
    plan = plan_of(
        url=start_server().url, replay=str(trace), duration="1500ms", speed=2, texts={"long": 1}
    )
    assert (plan.mix, plan.rate_rps, plan.arrivals) == ({"trace": 5.0}, 4 / 1.5, "replay")
    samples = finish(plan, find_scenario("replay"))
    assert samples.due_ns.tolist() == [0, SECOND_NS // 4, SECOND_NS // 4, SECOND_NS // 2]
    assert set(samples.text_class) == {"trace"}
    assert sorted(samples.text_id) == [0, 1, 2, 3]
    assert set(samples.chars) == {2}


def test_a_trace_ends_one_mean_gap_after_its_last_request(plan_of, tmp_path):
    trace = tmp_path / "mine.jsonl"
    trace.write_text("".join(json.dumps({"time": at, "length": 9}) + "\n" for at in (3, 4, 7)))
    plan = plan_of(replay=str(trace), duration="1h")
    assert (plan.duration_s, plan.expected_requests) == (6.0, 3.0)
    assert plan_of(replay=str(trace), duration="2s").expected_requests == 2.0


def test_texts_of_a_trace_are_as_long_as_asked_for_and_never_the_same(plan_of):
    scenario = read_scenario(find_scenario("replay")).scenario
    plan = plan_of(scenario)
    trace = read_trace(Path(plan.replay))
    source = TextSource.of(plan)
    texts = [source.take(1)[0] for _ in range(len(trace))]
    assert [len(text.text) for text in texts] == list(trace.lengths)
    assert [text.text_class for text in texts] == list(trace.classes)
    assert plan.mix == Counter(trace.classes)
    long_enough = [text.text for text in texts if len(text.text) >= 4]
    assert len(set(long_enough)) == len(long_enough) > 1000
    for name in plan.mix:
        assert not set(source.examples(name, 2)) & set(long_enough)


def test_workers_share_a_trace_row_by_row(plan_of):
    plan = plan_of(read_scenario(find_scenario("replay")).scenario)
    lengths = list(read_trace(Path(plan.replay)).lengths)
    for worker in range(3):
        source = TextSource.of(replace(plan, worker=worker, workers=3))
        got = [len(source.take(1)[0].text) for _ in range(100)]
        assert got == lengths[worker::3][:100]


@pytest.mark.parametrize(
    ("columns", "row", "mix"),
    [
        pytest.param("time", "{}", {"medium": 1.0}, id="times only: the scenario's texts"),
        pytest.param("time,class", "{},short", {"short": 3.0}, id="classes that there are"),
    ],
)
def test_a_trace_of_times_draws_the_texts(plan_of, tmp_path, columns, row, mix):
    trace = tmp_path / "t.csv"
    trace.write_text("\n".join([columns, *(row.format(i) for i in range(3))]) + "\n")
    plan = plan_of(replay=str(trace), duration="9s", texts={"medium": 1}, batch=2)
    assert plan.mix == mix
    texts = TextSource.of(plan).take(2)
    assert {text.text_class for text in texts} == set(mix)
    assert len({text.text for text in texts}) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("t.csv", "", "t.csv holds no request: write time,length,class", id="empty"),
        pytest.param("t.csv", "time\n", "t.csv holds no request", id="header only"),
        pytest.param("t.csv", "0,12\n1,12\n", "t.csv:2: column '0' is unknown", id="no header"),
        pytest.param("t.csv", "length\n5\n", "t.csv:2: there is no column time", id="no time"),
        pytest.param("t.csv", "time,time\n1,1\n", "t.csv:1: a column is there twice", id="twice"),
        pytest.param("t.csv", "time\n2\n\n1\n", "t.csv:4: time 1 comes after 2: sort", id="order"),
        pytest.param("t.csv", "time\nnow\n", "t.csv:2: time is 'now': write seconds", id="time"),
        pytest.param("t.csv", "time\nnan\n", "t.csv:2: time is 'nan'", id="nan"),
        pytest.param("t.csv", "time,length\n1,2,3\n", "t.csv:2: 3 fields, expected 2", id="fields"),
        pytest.param("t.csv", "time,length\n1,0\n", "t.csv:2: length is '0': write 1", id="short"),
        pytest.param("t.csv", "time,length\n1,1.5\n", "t.csv:2: length is '1.5'", id="half"),
        pytest.param("t.csv", "time,text\n1, \n", "t.csv:2: text is ' '", id="no text"),
        pytest.param("t.csv", "time,length,text\n1,2,ab\n", "got both length and text", id="both"),
        pytest.param("t.csv", "time,class\n1,q\n", "'q' has neither length nor text", id="class"),
        pytest.param("t.csv", "time,length,class\n1,2,all\n", "text class 'all'", id="all"),
        pytest.param("t.csv", 'time\n"1\n', "no valid CSV", id="open quote"),
        pytest.param("t.jsonl", "{\n", "t.jsonl:1: no valid JSON", id="no JSON"),
        pytest.param("t.jsonl", "\n[1]\n", "t.jsonl:2: write an object", id="no object"),
        pytest.param("t.jsonl", '{"time": true}\n', "t.jsonl:1: time is True", id="a truth"),
        pytest.param(
            "t.jsonl",
            '{"time": 1, "length": 2}\n{"time": 2}\n',
            "t.jsonl:2: got time, the first row had time, length",
            id="a key is missing",
        ),
        pytest.param(
            "t.jsonl", '{"time": 1, "text": "\\ud800"}', "half a surrogate pair", id="surrogate"
        ),
    ],
)
def test_traces_that_cannot_be_meant(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError) as refusal:
        read_trace(path)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_trace_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the trace .*none\.csv: No such file"):
        read_trace(tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes(b"time,text\n1,a\n2,\xff\n")
    with pytest.raises(UsageError, match=r"latin\.csv:3: no UTF-8: invalid start byte"):
        read_trace(path)


def test_a_trace_of_texts_has_one_text_a_request(plan_of, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,text\n1,ab\n")
    with pytest.raises(UsageError, match="batch is 2: a trace of texts has one text a request"):
        TextSource.of(plan_of(replay=str(path), duration="1s", batch=2))


def test_unique_and_repeated_texts_have_nothing_in_common(plan_of):
    plan = plan_of(read_scenario(find_scenario("cache_probe")).scenario)
    source = TextSource.of(plan)
    taken = [source.take(1)[0] for _ in range(4000)]
    by_class = {name: [t.text for t in taken if t.text_class == name] for name in plan.mix}
    assert len(set(by_class["unique"])) == len(by_class["unique"]) > 1500
    assert len(set(by_class["repeated"])) == 20
    assert not set(by_class["unique"]) & set(by_class["repeated"])
    assert set(Counter(by_class["repeated"][:200]).values()) == {10}  # in turn
    assert source.warnings() == source.shortages(4000) == []


def test_classes_of_ones_own_take_their_texts_from_a_file(plan_of, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"text {i}\n" for i in range(100)))
    scenario = read_scenario(find_scenario("cache_probe")).scenario
    plan = plan_of(scenario, texts_file=str(path))
    source = TextSource.of(plan)
    taken = [source.take(1)[0] for _ in range(80)]
    assert all(text.text.startswith("text ") for text in taken)
    assert {text.text_class for text in taken} == {"unique", "repeated"}


def test_a_trace_lies_beside_its_scenario(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('SCENARIO = Scenario(replay="log.csv", duration="1m")\n')
    assert read_scenario(path).scenario.replay == str(tmp_path / "log.csv")


@pytest.mark.parametrize("file", all_scenarios(), ids=lambda file: file.name)
def test_no_packaged_scenario_is_too_short_for_its_slo(plan_of, file):
    """A pass must be possible in each stage of the default duration."""
    scenario = file.scenario
    terms = Terms.read(scenario.slo, warmup_s=scenario.warmup_s)
    order = Order(plan_of(scenario), file.path, terms, {})
    for label, offer in order.stage_offers or (("", order.offer),):
        for prospect in prospects(terms.objectives, offer, ONLY):
            assert prospect.can_pass, (label, prospect)
