"""What a caller may say of a tool call before it is run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from roci.types.messages import ModelMessage
from roci.types.tools import ToolCall

Decision: TypeAlias = bool | str | ToolCall | ModelMessage | None
"""None or True: run it. False, or a text that says why: the model is told that it was refused. A `ToolCall`: run that
one instead. A `ModelMessage.tool_result`: that is the result, and nothing is run."""

OnToolCall: TypeAlias = Callable[[ToolCall], Decision | Awaitable[Decision]]
