"""Which texts are sent: a seeded sequence that never repeats unless it is asked to.

A service with a cache answers a repeated text at once, so a load test that repeats its
texts by accident measures the cache.
"""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from slokit.errors import UsageError
from slokit.load.chinese import LENGTHS, supply_for, text_of_length
from slokit.load.kinds import TextKind
from slokit.load.supplies import Sequence, Share, supply_of
from slokit.load.trace import Trace, read_trace

if TYPE_CHECKING:
    from slokit.load.plan import LoadPlan


class Text(NamedTuple):
    """One text. `text_id` is its number within its class, the same under every seed."""

    text_id: int
    text_class: str
    text: str


class TextSource:
    """Texts in the order they are sent: a pure function of seed, worker and what was taken.

    Classes follow the weights of `mix`. A share of `repeat_ratio` (0-1) of the texts was
    sent by this worker before, each earlier text of the class equally likely. When a
    class is exhausted its sequence starts over, and `warnings` says so.
    """

    def __init__(
        self,
        mix: Mapping[str, float],
        *,
        seed: int,
        repeat_ratio: float = 0.0,
        texts_file: str | None = None,
        kinds: Mapping[str, TextKind] | None = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        known = kinds or {}
        kinds = {name: known.get(name, TextKind(name)) for name in mix}
        supplies = {like: supply_of(like, texts_file) for like in {k.like for k in kinds.values()}}
        self._names, self._weights = list(mix), list(mix.values())
        self._sequences = {}
        for name, kind in kinds.items():
            alike = [other for other, its in kinds.items() if its.like == kind.like]
            share = Share(worker, workers, alike.index(name), len(alike))
            self._sequences[name] = Sequence(
                supplies[kind.like], seed=seed, share=share, pool=kind.pool
            )
        self._repeat_ratio = repeat_ratio
        self._random = random.Random(f"{seed}/{worker}")  # noqa: S311 - repeatable, not secret

    @classmethod
    def of(cls, plan: "LoadPlan") -> "TextSource":
        """The texts of a load plan: drawn, or as its trace has them."""
        if plan.replay is not None:
            return TraceTexts(read_trace(Path(plan.replay)), plan)
        return cls(
            plan.mix,
            seed=plan.seed_for("texts"),
            repeat_ratio=plan.repeat_ratio,
            texts_file=plan.texts_file,
            kinds=plan.kinds,
            worker=plan.worker,
            workers=plan.workers,
        )

    def take(self, count: int) -> list[Text]:
        """The next `count` texts, all of one class: the texts of one request."""
        (name,) = self._random.choices(self._names, self._weights)
        return self.take_of(name, count)

    def take_of(self, name: str, count: int) -> list[Text]:
        """The next `count` texts of one class."""
        sequence = self._sequences[name]
        taken = []
        for _ in range(count):
            if sequence.taken and self._random.random() < self._repeat_ratio:
                number, text = sequence.at(self._random.randrange(sequence.taken))
            else:
                number, text = sequence.fresh()
            taken.append(Text(number, name, text))
        return taken

    def examples(self, text_class: str, count: int) -> list[str]:
        """Texts of one class to try a service with; the sequence is not moved on.

        They come from the far end of the sequence, so that trying does not warm a cache
        for the load.
        """
        sequence = self._sequences[text_class]
        return [sequence.at(max(0, sequence.size - 1 - i))[1] for i in range(count)]

    def warnings(self) -> list[str]:
        """Which classes ran out of new texts, one line each."""
        counts = {name: sequence.reused for name, sequence in self._sequences.items()}
        return [
            f"{count} {name} texts were sent again: there were no new ones left"
            for name, count in counts.items()
            if count
        ]

    def shortages(self, texts: float | None) -> list[str]:
        """What will run out when about so many texts are sent; None: cannot be known."""
        if texts is None:
            return []
        fresh = texts * (1 - self._repeat_ratio) / sum(self._weights)
        return [
            f"about {fresh * weight:.0f} different {name} texts are needed and there are "
            f"{sequence.size}: some will be sent again, which a cache makes faster"
            for (name, sequence), weight in zip(self._sequences.items(), self._weights, strict=True)
            if fresh * weight > sequence.size and not sequence.pooled
        ]


class TraceTexts(TextSource):
    """The texts of a trace, row by row: its own, made up to its lengths, or drawn by class."""

    def __init__(self, trace: Trace, plan: "LoadPlan") -> None:
        made = trace.texts is not None or trace.lengths is not None
        needed = Counter(map(supply_for, trace.lengths or (LENGTHS["long"],)))
        super().__init__(
            needed if made else plan.mix,
            seed=plan.seed_for("texts"),
            repeat_ratio=plan.repeat_ratio,
            texts_file=None if made else plan.texts_file,
            kinds={} if made else plan.kinds,
            worker=plan.worker,
            workers=plan.workers,
        )
        if trace.texts is not None and plan.batch > 1:
            raise UsageError(f"batch is {plan.batch}: a trace of texts has one text a request")
        self._trace, self._row, self._step = trace, plan.worker, plan.workers

    def take(self, count: int) -> list[Text]:
        """The texts of the next request of this worker."""
        row, trace = self._row % len(self._trace), self._trace
        self._row += self._step
        name = trace.class_of(row)
        if trace.texts is not None:
            return [Text(row, name, trace.texts[row])]
        if trace.lengths is not None:
            return [self._made(name, trace.lengths[row]) for _ in range(count)]
        return super().take(count) if trace.classes is None else self.take_of(name, count)

    def _made(self, name: str, length: int) -> Text:
        (drawn,) = self.take_of(supply_for(length), 1)
        return Text(drawn.text_id, name, text_of_length(drawn.text_id, length))

    def examples(self, text_class: str, count: int) -> list[str]:
        """Texts as the last request of a class has them, which are none of the first."""
        trace = self._trace
        if trace.texts is None and trace.lengths is None:
            return super().examples(text_class, count)
        row = max(row for row in range(len(trace)) if trace.class_of(row) == text_class)
        if trace.texts is not None:
            return [trace.texts[row]] * count
        length = (trace.lengths or [1])[row]
        unused = -1 - row  # counted from the far end, where the load does not come
        return [text_of_length(unused - i, length) for i in range(count)]
