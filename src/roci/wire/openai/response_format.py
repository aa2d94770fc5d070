"""Servers that do not take a `response_format`: how they say so.

Source: OpenAI's `param`; LM Studio's and llama.cpp's words (`tests/samples/errors/`); vLLM's and Ollama's replies.
"""

from __future__ import annotations

import re
from typing import Final

from roci.errors import BadRequestError, ContextTooLongError, ReplyError, ServerFailedError

_WORDS: Final = re.compile(
    r"response[_ ]?format|json[_ ]?schema|\bgrammar\b|guided[_ ](?:json|decoding)|structured[_ ]output|"
    r"\bxgrammar\b|\bllguidance\b|text\.format|\bschema\b",
    re.IGNORECASE,
)


def refuses_format(error: ReplyError) -> bool:
    """Whether the server refuses the form of the answer, and nothing else: it may be asked in another one.

    An error of the server (5xx) counts where its words are about the grammar or the schema: some fail to build it.
    """
    if isinstance(error, ContextTooLongError) or not isinstance(error, (BadRequestError, ServerFailedError)):
        return False
    return (error.param or "").startswith(("response_format", "text.format")) or bool(_WORDS.search(error.message))
