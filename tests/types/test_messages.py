"""Messages: how they are made, and what a conversation must not be."""

from __future__ import annotations

import pytest

from roci import ImagePart, ModelMessage, TextPart, ToolCall, UsageError
from roci.types.messages import conversation


def test_each_role_has_its_maker() -> None:
    call = ToolCall(id="a", name="f", arguments_json="{}")

    assert (ModelMessage.user("hi").role, ModelMessage.user("hi").text) == ("user", "hi")
    assert ModelMessage.system("be brief").role == "system"
    assert ModelMessage.assistant("ok", tool_calls=[call]).tool_calls == (call,)
    result = ModelMessage.tool_result("a", "42", is_error=True)
    assert (result.role, result.tool_call_id, result.text, result.is_error) == ("tool", "a", "42", True)


def test_content_may_be_parts_of_text_and_images() -> None:
    image = ImagePart("data:image/png;base64,iVBORw0KGgo=")
    message = ModelMessage.user(["What is this?", image, TextPart(" Be brief.")])

    assert message.parts == (TextPart("What is this?"), image, TextPart(" Be brief."))
    assert message.text == "What is this? Be brief."


def test_a_string_is_one_user_message() -> None:
    assert conversation("hi") == (ModelMessage.user("hi"),)
    assert conversation(ModelMessage.user("hi")) == (ModelMessage.user("hi"),)


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ("", "messages[0]"),
        ([ModelMessage.user("a"), ModelMessage.user("")], "messages[1]"),
        ([ModelMessage.user("a"), {"role": "user", "content": "b"}], "messages[1]"),
    ],
)
def test_an_empty_or_foreign_message_is_named(messages: object, field: str) -> None:
    with pytest.raises(UsageError) as caught:
        conversation(messages)  # pyright: ignore[reportArgumentType]

    assert caught.value.field == field
    assert caught.value.hint
