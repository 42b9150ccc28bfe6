"""Text to WordPiece ids, the way Hugging Face's BertTokenizer does it."""

from collections.abc import Sequence

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors

from reference_server.errors import SetupError
from reference_server.model import TokenizerFiles

CLS, SEP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, CLS, SEP, "[MASK]")
"""Read as one token where a text spells them out, as Hugging Face does."""


class Tokenizer:
    """Encodes texts as [CLS] pieces [SEP], at most `max_tokens` ids below `vocabulary`."""

    def __init__(self, files: TokenizerFiles, max_tokens: int, vocabulary: int) -> None:
        self._fast = _from_json(files.json_text) if files.json_text else _from_vocabulary(files)
        known = self._fast.get_vocab_size()
        if known > vocabulary:
            raise SetupError(
                f"the tokenizer has {known} entries, but the model only {vocabulary}: "
                "vocab_size in config.json"
            )
        self._cls = self._special(CLS)
        self._sep = self._special(SEP)
        self._max_tokens = max_tokens
        self._fast.no_padding()  # a tokenizer.json may ask for padding and its own limit
        self._fast.enable_truncation(max_tokens)
        self._fast.post_processor = processors.BertProcessing((SEP, self._sep), (CLS, self._cls))

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text, special tokens included."""
        ids: list[int] = self._fast.encode(text).ids
        return ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode several texts; lets other threads run meanwhile."""
        return [encoding.ids for encoding in self._fast.encode_batch_fast(list(texts))]

    def complete(self, ids: Sequence[int]) -> list[int]:
        """Add [CLS] and [SEP] to a client's own ids where absent, and truncate."""
        body = list(ids)
        if body[0] == self._cls:
            body = body[1:]
        if body and body[-1] == self._sep:
            body = body[:-1]
        return [self._cls, *body[: self._max_tokens - 2], self._sep]

    def _special(self, token: str) -> int:
        found: int | None = self._fast.token_to_id(token)
        if found is None:
            raise SetupError(f"the vocabulary has no {token} entry, which BERT needs")
        return found


def _from_vocabulary(files: TokenizerFiles) -> FastTokenizer:
    vocabulary = {entry: index for index, entry in enumerate(files.vocabulary)}
    if UNKNOWN not in vocabulary:
        raise SetupError(f"the vocabulary has no {UNKNOWN} entry, which BERT needs")
    fast = FastTokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    fast.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=files.split_chinese,
        strip_accents=files.strip_accents,
        lowercase=files.lowercase,
    )
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.add_special_tokens([token for token in SPECIAL if token in vocabulary])
    return fast


def _from_json(text: str) -> FastTokenizer:
    try:
        fast = FastTokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise SetupError(f"tokenizer.json cannot be read: {error}") from error
    if not isinstance(fast.model, models.WordPiece):
        kind = type(fast.model).__name__
        raise SetupError(f"tokenizer.json holds a {kind} model; supported: WordPiece")
    return fast
