"""Tokens equal those of Hugging Face's pure-Python BertTokenizer, which shares no code with us."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizerLegacy

from reference_server.directory import read_tokenizer
from reference_server.errors import SetupError
from reference_server.model import TokenizerFiles
from reference_server.seeded import chinese_vocabulary
from reference_server.tokenizer import Tokenizer

TEXTS = [
    pytest.param("今天天气很好", id="chinese"),
    pytest.param("今天GPT-4o发布了3.5版, 真快!", id="mixed"),
    pytest.param("Ünïcödé café naïve ÅNGSTRÖM", id="accents"),
    pytest.param("你好，世界！「引号」…—《书》", id="punctuation"),
    pytest.param("emoji 😀👨‍👩‍👧 and 𠮷 beyond the plane", id="emoji"),
    pytest.param("  tabs\tand\nnewlines\r\n and \u3000 wide ", id="whitespace"),
    pytest.param("zero\u200bwidth \x00 \ufffd control\x07", id="control"),
    pytest.param("한국어 ひらがな カタカナ русский العربية", id="scripts"),
    pytest.param("x" * 101 + " " + "y" * 100, id="long-words"),
    pytest.param("龘靐齉爩", id="rare"),
    pytest.param("   ", id="blank"),
    pytest.param("spelled [SEP] out [MASK] and[CLS]", id="special"),
    pytest.param("长" * 600, id="truncated"),
]


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return Tokenizer(
        TokenizerFiles(vocabulary=chinese_vocabulary(21128)), max_tokens=512, vocabulary=21128
    )


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizerLegacy:
    return BertTokenizerLegacy(_vocabulary_file(tmp_path_factory.mktemp("vocabulary")))


def _vocabulary_file(directory: Path) -> str:
    path = directory / "vocab.txt"
    path.write_text("\n".join(chinese_vocabulary(21128)) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_the_oracles(text: str, ours: Tokenizer, oracle: BertTokenizerLegacy) -> None:
    expected = oracle(text, truncation=True, max_length=512)["input_ids"]
    assert ours.encode(text) == expected
    assert ours.encode_many([text, text]) == [expected, expected]


@pytest.mark.parametrize(
    "switches",
    [
        pytest.param({"do_lower_case": False}, id="cased"),
        pytest.param({"do_lower_case": True, "strip_accents": False}, id="accents-kept"),
        pytest.param({"tokenize_chinese_chars": False}, id="chinese-unsplit"),
    ],
)
def test_the_switches_of_tokenizer_config_are_honoured(
    switches: dict[str, bool], tmp_path: Path
) -> None:
    oracle = BertTokenizerLegacy(_vocabulary_file(tmp_path), **switches)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(switches))
    ours = Tokenizer(read_tokenizer(tmp_path), max_tokens=512, vocabulary=21128)
    for text in ("Café 今天天气", "GPT模型", "naïve ABC"):
        assert ours.encode(text) == oracle(text)["input_ids"]


CLS, SEP = 101, 102


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        pytest.param([7, 8], [CLS, 7, 8, SEP], id="bare"),
        pytest.param([CLS, 7, 8, SEP], [CLS, 7, 8, SEP], id="complete"),
        pytest.param([CLS, 7], [CLS, 7, SEP], id="without-sep"),
        pytest.param([7, SEP], [CLS, 7, SEP], id="without-cls"),
        pytest.param([CLS], [CLS, SEP], id="cls-alone"),
        pytest.param([SEP], [CLS, SEP], id="sep-alone"),
        pytest.param([7] * 512, [CLS, *[7] * 510, SEP], id="truncated"),
        pytest.param([CLS, *[7] * 510, SEP], [CLS, *[7] * 510, SEP], id="exactly-full"),
    ],
)
def test_ids_of_a_client_are_completed(
    ids: list[int], expected: list[int], ours: Tokenizer
) -> None:
    assert ours.complete(ids) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 21127), min_size=1, max_size=600))
def test_completing_is_idempotent_and_bounded(ids: list[int]) -> None:
    tokenizer = Tokenizer(
        TokenizerFiles(vocabulary=chinese_vocabulary(300)), max_tokens=512, vocabulary=300
    )
    once = tokenizer.complete(ids)
    assert tokenizer.complete(once) == once
    assert len(once) <= 512
    assert (once[0], once[-1]) == (CLS, SEP)


@pytest.mark.parametrize("missing", ["[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_its_special_entries_is_refused(missing: str) -> None:
    entries = tuple(entry for entry in ("[UNK]", "[CLS]", "[SEP]", "a") if entry != missing)
    with pytest.raises(SetupError, match=rf"no \{missing[:-1]}\] entry"):
        Tokenizer(TokenizerFiles(vocabulary=entries), max_tokens=8, vocabulary=9)


def test_a_tokenizer_json_of_another_kind_is_refused() -> None:
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers import models

    text = FastTokenizer(models.BPE()).to_str()
    with pytest.raises(SetupError, match="holds a BPE model; supported: WordPiece"):
        Tokenizer(TokenizerFiles(json_text=text), max_tokens=8, vocabulary=9)


def test_a_broken_tokenizer_json_is_refused() -> None:
    with pytest.raises(SetupError, match=r"tokenizer\.json cannot be read"):
        Tokenizer(TokenizerFiles(json_text="{}"), max_tokens=8, vocabulary=9)


def test_a_vocabulary_larger_than_the_model_is_refused() -> None:
    """Its last ids would point outside the embedding matrix."""
    files = TokenizerFiles(vocabulary=chinese_vocabulary(200))
    with pytest.raises(SetupError, match="has 200 entries, but the model only 199"):
        Tokenizer(files, max_tokens=8, vocabulary=199)
