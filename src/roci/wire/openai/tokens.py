"""Text <-> tokens over HTTP; neither OpenAI nor LM Studio has it, so these are llama.cpp's own routes, by model.

Source: llama.cpp's server (`/tokenize`, `/detokenize`), by trying.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from roci.wire.openai.request_faults import decode_body, invalid

TOKENS_LIMIT: Final = 10_000_000

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class TokenizeRequest(Struct, kw_only=True):
    """The body of `POST /v1/tokenize`. Unknown fields are ignored."""

    model: str = ""
    content: str
    add_special: bool = False
    """Put the model's own marks around the text, such as that of its beginning."""
    parse_special: bool = True
    """Read `<|im_start|>` and the like as the tokens that they stand for."""
    with_pieces: bool = False
    """Give each token's text as well."""


class DetokenizeRequest(Struct, kw_only=True):
    """The body of `POST /v1/detokenize`. Unknown fields are ignored."""

    model: str = ""
    tokens: Annotated[list[Token], Meta(max_length=TOKENS_LIMIT)]


class TokenPiece(Struct):
    id: int
    piece: str | list[int]
    """Its text; its bytes where they are no text by themselves."""


class WorkerTokens(Struct):
    tokens: list[int | TokenPiece]


class WorkerText(Struct):
    content: str


class TokenizeReply(Struct):
    """The reply of `POST /v1/tokenize`."""

    tokens: list[int | TokenPiece]
    count: int
    model: str


class DetokenizeReply(Struct):
    """The reply of `POST /v1/detokenize`."""

    content: str
    model: str


_tokenize_decoder: Final = msgspec.json.Decoder(TokenizeRequest)
_detokenize_decoder: Final = msgspec.json.Decoder(DetokenizeRequest)


def decode_tokenize(body: bytes) -> TokenizeRequest:
    """The request in `body`. Raises BadRequestError with the path of the field at fault."""
    return decode_body(body, _tokenize_decoder, {})


def decode_detokenize(body: bytes) -> DetokenizeRequest:
    """The request in `body`. Raises BadRequestError with the path of the field at fault."""
    return decode_body(body, _detokenize_decoder, {})


def worker_tokenize(request: TokenizeRequest) -> dict[str, Any]:
    """What a worker is asked."""
    return {
        "content": request.content,
        "add_special": request.add_special,
        "parse_special": request.parse_special,
        "with_pieces": request.with_pieces,
    }


def check_vocabulary(tokens: list[int], vocabulary_size: int) -> None:
    """Refuses tokens that the model does not have.

    Raises:
        BadRequestError: names the token.
    """
    for position, token in enumerate(tokens):
        if vocabulary_size and token >= vocabulary_size:
            path = f"tokens[{position}]"
            raise invalid(f"{path} is {token}; the model has 0 to {vocabulary_size - 1}.", path)
