"""The embedding service under test: a BERT encoder behind an OpenAI-compatible HTTP API.

It shares no code with slokit, so that neither can hide the other's mistakes. Each step a text
takes has a module of its own:

    app (HTTP) -> protocol (OpenAI) -> tokenizer -> cache -> flights -> batcher -> engines
"""

__version__ = "0.1.0"
