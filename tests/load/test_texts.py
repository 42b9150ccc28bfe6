"""Chinese of exactly 4, 20 and 50 characters, never twice unless asked for."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.errors import UsageError
from slokit.load.chinese import LENGTHS, grammar
from slokit.load.chinese_words import WORDS
from slokit.load.supplies import FileTexts, permuted
from slokit.load.texts import TextSource

HAN = re.compile(r"[\u4e00-\u9fff]+")


@pytest.mark.parametrize("name", WORDS)
def test_words_of_a_list_are_distinct_and_of_one_length(name):
    words = WORDS[name].split()
    assert len(set(words)) == len(words)
    assert len({len(word) for word in words}) == 1
    assert all(HAN.fullmatch(word) for word in words)


def test_sizes_of_the_spaces():
    assert {name: grammar(name).size for name in LENGTHS} == {
        "short": 112_736,
        "medium": 510_640,
        "long": 4_172_221_440,
    }


def test_all_short_texts_are_different_han():
    short = grammar("short")
    texts = {short.text(index) for index in range(short.size)}
    assert len(texts) == short.size
    assert all(len(text) == 4 and HAN.fullmatch(text) for text in texts)


@pytest.mark.parametrize("name", LENGTHS)
def test_different_patterns_never_make_the_same_text(name):
    """Two patterns differ at a position whose possible characters have none in common."""

    def characters(pattern):
        parts = [[t] for t in re.split(r"\{\}", pattern.template)]
        woven = itertools.chain.from_iterable(
            itertools.zip_longest(parts, pattern.slots, fillvalue=())
        )
        return [set(column) for words in woven if words for column in zip(*words, strict=True)]

    for one, two in itertools.combinations(grammar(name).patterns, 2):
        if name == "short":  # two slots only: their first words differ as a whole
            assert not set(one.slots[0]) & set(two.slots[0])
            continue
        columns = zip(characters(one), characters(two), strict=True)
        assert any(not a & b for a, b in columns)


@given(st.sampled_from(["medium", "long"]), st.data())
def test_a_number_gives_one_text_of_exact_length(name, data):
    index = data.draw(st.integers(0, grammar(name).size - 1))
    text = grammar(name).text(index)
    assert len(text) == LENGTHS[name]
    assert re.fullmatch(r"[\u4e00-\u9fff，。？]+", text)


@pytest.mark.parametrize("index", [-1, 112_736])
def test_numbers_outside_the_space_are_refused(index):
    with pytest.raises(IndexError, match=f"text {index} of 112736"):
        grammar("short").text(index)


@given(st.integers(1, 300), st.integers(0, 2**63))
def test_a_permutation_hits_each_number_once(size, seed):
    assert sorted(permuted(index, size, seed) for index in range(size)) == list(range(size))


def test_different_seeds_give_different_orders():
    orders = {tuple(permuted(i, 1000, seed) for i in range(10)) for seed in range(50)}
    assert len(orders) == 50


def test_a_run_never_repeats_a_text():
    source = TextSource({"short": 60, "medium": 30, "long": 10}, seed=5)
    texts = [text for _ in range(5000) for text in source.take(1)]
    assert len({text.text for text in texts}) == 5000
    assert all(grammar(text.text_class).text(text.text_id) == text.text for text in texts[:100])


def test_the_mix_follows_the_weights():
    source = TextSource({"short": 60, "medium": 30, "long": 10}, seed=5)
    names = [source.take(1)[0].text_class for _ in range(10_000)]
    assert [names.count(name) / 10_000 for name in LENGTHS] == pytest.approx(
        [0.6, 0.3, 0.1], abs=0.02
    )


def test_workers_share_the_texts_without_overlap():
    def ids(worker):
        source = TextSource({"short": 1}, seed=5, worker=worker, workers=3)
        return {source.take(1)[0].text_id for _ in range(3000)}

    assert len(ids(0) | ids(1) | ids(2)) == 9000


def test_the_same_seed_gives_the_same_texts_in_batches_too():
    one, two = (TextSource({"long": 1}, seed=8) for _ in range(2))
    assert one.take(6) == [text for _ in range(3) for text in two.take(2)]


@pytest.mark.parametrize("ratio", [0.2, 0.8])
def test_a_share_of_the_texts_was_sent_before(ratio):
    source = TextSource({"short": 1}, seed=5, repeat_ratio=ratio)
    ids = [source.take(1)[0].text_id for _ in range(10_000)]
    repeats = len(ids) - len(set(ids))
    assert repeats / len(ids) == pytest.approx(ratio, abs=0.02)


def test_a_class_that_runs_out_starts_over_and_says_so(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("一\n\n二\n 三 \n", encoding="utf-8")
    source = TextSource({"custom": 1}, seed=1, texts_file=str(path))
    first = {source.take(1)[0].text for _ in range(3)}
    assert first == {"一", "二", "三"}
    assert source.warnings() == []
    assert source.take(2)[0].text in first
    assert source.warnings() == ["2 custom texts were sent again: there were no new ones left"]


def test_a_shortage_is_foreseen():
    source = TextSource({"short": 1, "medium": 1}, seed=1)
    assert source.shortages(200_000) == []
    assert source.shortages(None) == []
    (warning,) = source.shortages(300_000)
    assert warning == (
        "about 150000 different short texts are needed and there are 112736: "
        "some will be sent again, which a cache makes faster"
    )


def test_examples_do_not_use_up_the_texts():
    source = TextSource({"short": 1}, seed=1)
    examples = source.examples("short", 3)
    assert len(set(examples)) == 3
    assert not set(examples) & {source.take(1)[0].text for _ in range(1000)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "holds no text: write one a line", id="empty"),
        pytest.param(b"\n \n\t\n", "holds no text", id="blank lines only"),
        pytest.param("好\n".encode() + b"\xff\n", ":2: no UTF-8", id="not UTF-8"),
        pytest.param(b"ok\n" + b"a" * 100_001, ":2: 100001 characters, at most 100000", id="long"),
    ],
)
def test_files_that_hold_no_texts(tmp_path, content, message):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        FileTexts(path)
    assert message in str(refusal.value)


def test_a_file_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeff第一\r\n第二".encode())
    texts = FileTexts(path)
    assert [texts.text(i) for i in range(texts.size)] == ["第一", "第二"]


def test_custom_texts_need_a_file(tmp_path):
    with pytest.raises(UsageError, match="need a file: --texts FILE"):
        TextSource({"custom": 1}, seed=1)
    with pytest.raises(UsageError, match=r"cannot read the texts .*: No such file"):
        TextSource({"custom": 1}, seed=1, texts_file=str(tmp_path / "none"))
