"""How a request is written where that is not the usual way; see `peekr.request_form`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.contract import fields
from peekr.instrumentation.openai.client import plain
from peekr.messages import Part
from peekr.request_form import ABSENT, LIST, Form, json_style, literal, noted, without_media

__all__ = ["chat_form", "embeddings_form", "responses_form"]

_NO_BODY = frozenset(
    ("timeout", "extra_headers", "extra_query", "extra_body", "security", "idempotency_key")
)
_OF_MESSAGE = frozenset(("role", "content", "name", "tool_call_id", "tool_calls"))
_TEXTS = ("input_text", "output_text")


@noted
def chat_form(kwargs: Mapping[str, Any]) -> Optional[Form]:
    """The notes of `chat.completions` and `completions`.

    Runs on the caller's thread; plain messages cost some tens of nanoseconds each.
    """
    made = _arguments(kwargs)
    messages = kwargs.get("messages")
    if isinstance(messages, list):
        for index, entry in enumerate(cast("list[dict[str, Any]]", messages)):
            if type(entry) is dict:
                size, content = len(entry), entry.get("content")
                if type(content) is str:
                    if size == 2 or (size == 3 and "tool_call_id" in entry):
                        continue
                elif content is None and size == 3 and "tool_calls" in entry and "content" in entry:
                    _calls(entry["tool_calls"], index, made)
                    continue
            _message(_given(entry), index, made)
    if _is_one(kwargs.get("prompt")):
        made["prompt"] = LIST
    return made or None


@noted
def responses_form(
    kwargs: Mapping[str, Any], parts_of: Callable[[Any], list[Part]]
) -> Optional[Form]:
    """The notes of `responses`.

    Args:
        kwargs: The arguments.
        parts_of: What is recorded of an item; nothing of some.
    """
    made = _arguments(kwargs)
    items = kwargs.get("input")
    if type(items) is not list:
        return made or None
    usual: list[Any] = []
    for index, item in enumerate(cast("list[Any]", items)):
        place = f"input.{index}"
        entry = cast("dict[str, Any]", item) if type(item) is dict else {}
        content = entry.get("content")
        if isinstance(item, str):
            made[place] = literal(item)
        elif type(content) is not str or len(entry) != 2:
            if not parts_of(item):
                made[f"{place}+"] = literal(_plain(item))
                continue
            _item(_given(item), place, made)
        usual.append(item)
    if len(usual) == 1 and _is_user_text(usual[0]):
        made = {"input": LIST, **made}  # before what goes into it
    return made or None


@noted
def embeddings_form(kwargs: Mapping[str, Any]) -> Optional[Form]:
    """The notes of `embeddings`."""
    made = _arguments(kwargs)
    if _is_one(kwargs.get("input")):
        made["input"] = LIST
    wanted = kwargs.get("dimensions")
    if isinstance(wanted, int):
        made["dimensions"] = literal(wanted)  # the record has what came
    return made or None


def _is_one(texts: Any) -> bool:
    return isinstance(texts, list) and len(cast("list[Any]", texts)) == 1


def _arguments(kwargs: Mapping[str, Any]) -> Form:
    made: Form = {}
    for key, value in kwargs.items():
        if value is None or value is False or key in _NOTED:
            _argument(key, value, made)
    return made


_NOTED = frozenset(("n", "stop", "response_format", "text_format", "extra_body", "functions"))


def _argument(key: str, value: Any, made: Form) -> None:
    if value is None:
        if key not in _NO_BODY:
            made[key] = literal(None)
    elif key == "stream" or (key == "n" and value == 1) or (key == "stop" and type(value) is str):
        made[key] = literal(value)
    elif key in ("response_format", "text_format") and isinstance(value, type):
        made[key] = "class"
    elif key == "functions":
        made["tools"] = "functions"
    elif key == "extra_body" and isinstance(value, dict):
        made.update(_arguments(cast("dict[str, Any]", value)))


def _given(value: Any) -> Mapping[str, Any]:
    """The fields that the SDK sends: of its models those that were set."""
    if type(value) is dict:
        return value  # pyright: ignore[reportUnknownVariableType]
    found = fields(value)
    names: Any = getattr(value, "model_fields_set", None)
    return found if names is None else {key: found[key] for key in found if key in names}


def _plain(value: Any) -> Any:
    """JSON values as the SDK sends them."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return plain(dump(mode="json", exclude_unset=True))
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in cast("dict[str, Any]", value).items()}
    return plain(value)


# -- chat ------------------------------------------------------------------------------------------


def _message(given: Mapping[str, Any], index: int, made: Form) -> None:
    place = f"messages.{index}"
    content, calls = given.get("content"), given.get("tool_calls")
    if "content" not in given:
        made[f"{place}.content"] = ABSENT
    elif content is None:
        if not calls:
            made[f"{place}.content"] = literal(None)
    elif content == "":
        if calls:
            made[f"{place}.content"] = literal("")
    elif isinstance(content, (list, tuple)):
        is_answer = given.get("role") == "tool"
        _blocks(cast("list[Any]", content), f"{place}.content", made, ("text",), is_answer)
    further: dict[str, Any] = {}
    for key, value in given.items():
        if key in _OF_MESSAGE:
            if value is None and key not in ("role", "content"):
                further[key] = None
            elif key == "name" and given.get("role") == "tool":
                further[key] = value
        elif key == "parsed":
            continue  # the SDK's own, which it does not send
        elif not value or key not in ("reasoning_content", "refusal"):
            further[key] = _plain(value)
    if further.get("reasoning") and not given.get("reasoning_content"):
        made[f"{place}.reasoning_content"] = ABSENT
    if further.get("function_call"):
        made[f"{place}.tool_calls"] = ABSENT
    if calls == []:
        further["tool_calls"] = []
    if further:
        made[place] = further
    if calls:
        _calls(calls, index, made)


def _calls(calls: Any, index: int, made: Form) -> None:
    if not isinstance(calls, list):
        made[f"messages.{index}.tool_calls"] = literal(_plain(calls))
        return
    for at, call in enumerate(cast("list[Any]", calls)):
        of_call = _given(call)
        function = _given(of_call.get("function"))
        if len(of_call) != 3 or not function:
            made[f"messages.{index}.tool_calls.{at}"] = literal(_plain(call))
            continue
        style = json_style(function.get("arguments"))
        if style is not None:
            made[f"messages.{index}.tool_calls.{at}.function.arguments"] = style


def _blocks(
    blocks: list[Any], place: str, made: Form, texts: tuple[str, ...], stays_list: bool = False
) -> None:
    if not blocks:
        made[place] = literal([])
        return
    if any(_given(block).get("type") == "refusal" for block in blocks):
        made[place] = literal(_plain(blocks))
        return
    if len(blocks) == 1 and not stays_list:
        kind = _given(blocks[0]).get("type")
        if kind in texts or isinstance(blocks[0], str):
            made[place] = LIST
    for index, block in enumerate(blocks):
        given = _given(block)
        if isinstance(block, str):
            made[f"{place}.{index}"] = literal(block)
        elif given.get("type") in texts:
            further = {key: _plain(given[key]) for key in given if key not in ("type", "text")}
            if further:
                made[f"{place}.{index}"] = further
        elif len(given) > 2 or str(given.get("type")).endswith("text"):
            whole = _plain(block)
            if without_media(whole):
                made[f"{place}.{index}"] = literal(whole)


# -- responses -------------------------------------------------------------------------------------


def _is_user_text(item: Any) -> bool:
    """Whether an item is recorded like an input that is a bare text."""
    given = _given(item)
    if given.get("role") != "user":
        return isinstance(item, str)
    content = given.get("content")
    if isinstance(content, str):
        return True
    if not isinstance(content, list) or len(cast("list[Any]", content)) != 1:
        return False
    return _given(cast("list[Any]", content)[0]).get("type") in (*_TEXTS, "text")


def _item(given: Mapping[str, Any], place: str, made: Form) -> None:
    kind = given.get("type")
    if kind in (None, "message"):
        content = given.get("content")
        if isinstance(content, (list, tuple)):
            usual = "output_text" if given.get("role") == "assistant" else "input_text"
            _blocks(cast("list[Any]", content), f"{place}.content", made, (usual,))
        known: tuple[str, ...] = ("role", "content")
    elif kind == "function_call":
        style = json_style(given.get("arguments"))
        if style is not None:
            made[f"{place}.arguments"] = style
        known = ("type", "call_id", "name", "arguments")
    elif kind == "function_call_output" and isinstance(given.get("output"), str):
        known = ("type", "call_id", "output")
    elif kind == "item_reference":
        known = ("type", "id")
    else:
        # What the provider made itself: its thoughts, its tools' calls and results.
        whole = _plain(dict(given))
        if without_media(whole) and kind != "image_generation_call":
            made[place] = literal(whole)
        return
    further = {key: _plain(given[key]) for key in given if key not in known}
    if further:
        made[place] = further
