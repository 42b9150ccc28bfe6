"""Does a service's embedding mean anything? Two texts that say the same should be near."""

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np

from slokit.errors import TargetError
from slokit.load.plan import LoadPlan, api_key, tls_context
from slokit.load.protocol import PROTOCOLS, RequestEncoder, decode_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR: Final = ("今天天气很好", "今天天气不错")
FAR: Final = ("今天天气很好", "数据库连接池已经耗尽")


def cosine(first: "NDArray[np.float64]", second: "NDArray[np.float64]") -> float:
    """Cosine of the angle between two vectors.

    >>> cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])).__round__(3)
    0.707
    """
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def likeness(plan: LoadPlan) -> tuple[float, float]:
    """Cosine of two near texts and of two far ones. Raises TargetError without an answer."""
    near, far = (_pair(plan, texts) for texts in (NEAR, FAR))
    return cosine(*near), cosine(*far)


def _pair(plan: LoadPlan, texts: Sequence[str]) -> list[Any]:
    encoder = RequestEncoder(plan, model=plan.model, key=None)
    headers = dict(plan.headers) | {"Content-Type": "application/json"}
    if key := api_key(plan):
        headers["Authorization"] = f"Bearer {key}"
    vectors = []
    with httpx.Client(
        base_url=plan.endpoint.origin,
        headers=headers,
        timeout=plan.timeout_s,
        verify=tls_context(plan, ssl.SSLContext),
        proxy=plan.proxy,
        trust_env=False,
    ) as client:
        for text in texts:  # one at a time: a protocol may take no more
            try:
                answer = client.post(plan.target_path, content=encoder.body([text]))
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise TargetError(f"{plan.url}: {error}") from error
            vectors += decode_vectors(PROTOCOLS[plan.protocol], answer.content)
    return vectors
