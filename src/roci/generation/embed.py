"""Vectors of texts, from a model that was made for it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from roci.errors import UnsupportedError
from roci.generation.text import Model, provider_of
from roci.types.embeddings import EmbedRequest, EmbedResponse, EmbedResult, EncodingFormat
from roci.types.settings import Timeouts


def embed(
    model: Model,
    texts: str | Sequence[str],
    *,
    dimensions: int | None = None,
    encoding_format: EncodingFormat = "auto",
    normalize: bool = False,
    batch_size: int | None = None,
    as_numpy: bool = False,
    timeouts: Timeouts | None = None,
) -> EmbedResult:
    """The vectors of `texts`, in their order; of no texts none, and nothing is sent.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:nomic-embed-text-v1.5"`.
        texts: one text, whose vector is then `.embedding`, or a list of them.
        dimensions: keep only the first of each vector's numbers, at unit length; of use with models that were trained
            for it. Where the server ignores it, the vectors are cut here, and the receipt says so.
        encoding_format: how vectors travel. `auto` asks for base64 and reads whatever comes.
        normalize: bring every vector to unit length.
        batch_size: texts in one request. None: 256, or fewer of long texts.
        as_numpy: `.embeddings` is a float32 array of shape `(texts, dimensions)` instead of lists. Needs numpy.
        timeouts: for each request; else the provider's.

    Raises:
        UsageError: an argument is wrong, or numpy is wanted and missing; nothing was sent.
        TransportError, ReplyError: no whole reply came, or the server said no, as it does for a model that chats.
        EmbeddingSizeError: vectors of two sizes came, in this call or since an earlier one.
        UnexpectedReplyError: the reply cannot be read, or is not one vector for each text.
    """
    request = _request(texts, dimensions, encoding_format, normalize, batch_size, timeouts)
    _check_numpy(as_numpy)
    return _result(provider_of(model).embed(request), as_numpy)


async def aembed(
    model: Model,
    texts: str | Sequence[str],
    *,
    dimensions: int | None = None,
    encoding_format: EncodingFormat = "auto",
    normalize: bool = False,
    batch_size: int | None = None,
    as_numpy: bool = False,
    timeouts: Timeouts | None = None,
) -> EmbedResult:
    """The vectors of `texts`, in their order; of no texts none, and nothing is sent.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:nomic-embed-text-v1.5"`.
        texts: one text, whose vector is then `.embedding`, or a list of them.
        dimensions: keep only the first of each vector's numbers, at unit length; of use with models that were trained
            for it. Where the server ignores it, the vectors are cut here, and the receipt says so.
        encoding_format: how vectors travel. `auto` asks for base64 and reads whatever comes.
        normalize: bring every vector to unit length.
        batch_size: texts in one request. None: 256, or fewer of long texts.
        as_numpy: `.embeddings` is a float32 array of shape `(texts, dimensions)` instead of lists. Needs numpy.
        timeouts: for each request; else the provider's.

    Raises:
        UsageError: an argument is wrong, or numpy is wanted and missing; nothing was sent.
        TransportError, ReplyError: no whole reply came, or the server said no, as it does for a model that chats.
        EmbeddingSizeError: vectors of two sizes came, in this call or since an earlier one.
        UnexpectedReplyError: the reply cannot be read, or is not one vector for each text.
    """
    request = _request(texts, dimensions, encoding_format, normalize, batch_size, timeouts)
    _check_numpy(as_numpy)
    return _result(await provider_of(model).aembed(request), as_numpy)


def _request(
    texts: str | Sequence[str],
    dimensions: int | None,
    encoding_format: EncodingFormat,
    normalize: bool,
    batch_size: int | None,
    timeouts: Timeouts | None,
) -> EmbedRequest:
    return EmbedRequest(
        texts=(texts,) if isinstance(texts, str) else tuple(texts),
        dimensions=dimensions,
        encoding_format=encoding_format,
        normalize=normalize,
        batch_size=batch_size,
        timeouts=timeouts,
    )


def _check_numpy(as_numpy: bool) -> None:
    if as_numpy and find_spec("numpy") is None:
        raise UnsupportedError(
            "as_numpy=True needs numpy, which is not installed.",
            capability="numpy",
            hint="Install it with: pip install numpy. Or leave as_numpy out and get lists.",
        )


def _result(response: EmbedResponse, as_numpy: bool) -> EmbedResult:
    return EmbedResult(
        embeddings=_array(response) if as_numpy else [vector.tolist() for vector in response.vectors],
        dimensions=len(response.vectors[0]) if response.vectors else 0,
        usage=response.usage,
        model=response.model,
        warnings=response.warnings,
        receipt=response.receipt,
    )


def _array(response: EmbedResponse) -> Any:
    np = import_module("numpy")

    size = len(response.vectors[0]) if response.vectors else 0
    joined = b"".join(vector.tobytes() for vector in response.vectors)
    # A copy, since an array over bytes cannot be written to.
    return np.frombuffer(joined, dtype=np.float32).reshape(len(response.vectors), size).copy()
