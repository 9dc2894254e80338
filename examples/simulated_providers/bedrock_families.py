"""The bodies of Bedrock's `invoke`: each family of models has a form of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple

from .anthropic_api import InvalidMessages, message, message_events, message_prompt
from .bedrock_converse import converse_answer, converse_prompt
from .exchange import Ids, Json, child, objects, strings
from .model import Prompt, SimulatedModel, count_tokens, pieces, vector

__all__ = ["Family", "family_of"]

Tokens = Tuple[int, int]
"""Input and output tokens of one call."""


@dataclass(frozen=True)
class Family:
    """How one family asks and answers.

    Attributes:
        answer: gives the response body and the tokens for a model id and a request body; raises
            ValueError where the body is not of the family's form.
        events: cuts a response body into what a stream sends.
        streams: whether the family can stream.
    """

    answer: Callable[[str, Json, SimulatedModel, Ids], Tuple[Json, Tokens]]
    events: Callable[[Json], Iterator[Json]]
    streams: bool = True


def family_of(model_id: str) -> Optional[Family]:
    """Find the family of a model id, an inference profile or an ARN; None where it is unknown."""
    for pattern, family in _FAMILIES:
        if re.search(pattern, model_id):
            return family
    return None


# -- Anthropic --------------------------------------------------------------------------------


def _anthropic(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    if "anthropic_version" not in body:
        raise ValueError("#: required key [anthropic_version] not found")
    try:
        prompt = message_prompt(body)
    except InvalidMessages as invalid:
        raise ValueError(str(invalid)) from None
    name = re.sub(r"^.*anthropic\.|-v\d+(:\d+)?$", "", model_id)
    said = message(prompt, name, model, ids, "msg_bdrk_")
    return said, (prompt.tokens, said["usage"]["output_tokens"])


# -- Nova -------------------------------------------------------------------------------------


def _nova(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    said = converse_answer(converse_prompt(body), model, ids)
    usage = {name: said["usage"][name] for name in ("inputTokens", "outputTokens", "totalTokens")}
    # Nova names what concerns the cache otherwise than Converse.
    for name in ("cacheReadInputToken", "cacheWriteInputToken"):
        usage[f"{name}Count"] = said["usage"][f"{name}s"]
    body = {"output": said["output"], "stopReason": said["stopReason"], "usage": usage}
    return body, (usage["totalTokens"] - usage["outputTokens"], usage["outputTokens"])


def _nova_events(said: Json) -> Iterator[Json]:
    yield {"messageStart": {"role": "assistant"}}
    index = -1
    for block in objects(said["output"]["message"]["content"]):
        # Nova numbers each piece of text as a block of its own, and a tool call comes whole.
        parts: List[Json] = [{"text": piece} for piece in pieces(block.get("text") or "")]
        if "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUseId": use["toolUseId"], "name": use["name"]}
            yield {
                "contentBlockStart": {
                    "start": {"toolUse": start},
                    "contentBlockIndex": index + 1,
                }
            }
            parts = [{"toolUse": {"input": _compact(use["input"])}}]
        for part in parts:
            index += 1
            yield {"contentBlockDelta": {"delta": part, "contentBlockIndex": index}}
            yield {"contentBlockStop": {"contentBlockIndex": index}}
    yield {"messageStop": {"stopReason": said["stopReason"]}}
    counts = {name: n for name, n in said["usage"].items() if name != "totalTokens"}
    yield {"metadata": {"usage": counts, "metrics": {}, "trace": {}}}


# -- one text in, one text out ----------------------------------------------------------------


def _titan(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    config = child(body, "textGenerationConfig")
    prompt = _prompt(body, "inputText", config.get("maxTokenCount"), config.get("stopSequences"))
    answer = model.answer(prompt)
    result = {
        "tokenCount": answer.tokens,
        "outputText": answer.text,
        "completionReason": "LENGTH" if answer.truncated else "FINISH",
    }
    said = {"inputTextTokenCount": prompt.tokens, "results": [result]}
    return said, (prompt.tokens, answer.tokens)


def _titan_events(said: Json) -> Iterator[Json]:
    result = said["results"][0]
    texts = pieces(result["outputText"]) or [""]
    for number, piece in enumerate(texts):
        last = number == len(texts) - 1
        yield {
            "outputText": piece,
            "index": 0,
            "totalOutputTextTokenCount": result["tokenCount"] if last else None,
            "completionReason": result["completionReason"] if last else None,
            "inputTextTokenCount": said["inputTextTokenCount"],
        }


def _titan_embedding(
    model_id: str, body: Json, model: SimulatedModel, ids: Ids
) -> Tuple[Json, Tokens]:
    prompt = _prompt(body, "inputText", None, None)
    embedding = vector(prompt.text, body.get("dimensions") or 1024)
    return {"embedding": embedding, "inputTextTokenCount": prompt.tokens}, (prompt.tokens, 0)


def _llama(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    prompt = _prompt(body, "prompt", body.get("max_gen_len", 512), None)
    answer = model.answer(prompt)
    said = {
        "generation": answer.text,
        "prompt_token_count": prompt.tokens,
        "generation_token_count": answer.tokens,
        "stop_reason": "length" if answer.truncated else "stop",
    }
    return said, (prompt.tokens, answer.tokens)


def _llama_events(said: Json) -> Iterator[Json]:
    texts = pieces(said["generation"]) or [""]
    done = ""
    for number, piece in enumerate(texts):
        done += piece
        last = number == len(texts) - 1
        yield {
            "generation": piece,
            "prompt_token_count": said["prompt_token_count"] if number == 0 else None,
            "generation_token_count": count_tokens(done),
            "stop_reason": said["stop_reason"] if last else None,
        }


def _mistral(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    if "messages" in body:
        return _chat(model_id, body, model, ids)
    prompt = _prompt(body, "prompt", body.get("max_tokens", 512), body.get("stop"))
    answer = model.answer(prompt)
    output = {"text": answer.text, "stop_reason": "length" if answer.truncated else "stop"}
    return {"outputs": [output]}, (prompt.tokens, answer.tokens)


def _mistral_events(said: Json) -> Iterator[Json]:
    if "choices" in said:
        yield from _chat_events(said)
        return
    output = said["outputs"][0]
    texts = pieces(output["text"]) or [""]
    for number, piece in enumerate(texts):
        last = number == len(texts) - 1
        yield {"outputs": [{"text": piece, "stop_reason": output["stop_reason"] if last else None}]}


def _cohere(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    if "command-r" in model_id:
        return _cohere_chat(body, model, ids)
    prompt = _prompt(body, "prompt", body.get("max_tokens"), body.get("stop_sequences"))
    answer = model.answer(prompt)
    generation = {
        "id": ids.next(""),
        "text": answer.text,
        "finish_reason": "MAX_TOKENS" if answer.truncated else "COMPLETE",
    }
    said = {"id": ids.next(""), "generations": [generation], "prompt": prompt.text}
    return said, (prompt.tokens, answer.tokens)


def _cohere_chat(body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    prompt = _prompt(body, "message", body.get("max_tokens"), body.get("stop_sequences"))
    answer = model.answer(prompt)
    said = {
        "response_id": ids.next(""),
        "text": answer.text,
        "generation_id": ids.next(""),
        "chat_history": [
            *objects(body.get("chat_history")),
            {"role": "USER", "message": prompt.text},
            {"role": "CHATBOT", "message": answer.text},
        ],
        "finish_reason": "MAX_TOKENS" if answer.truncated else "COMPLETE",
    }
    return said, (prompt.tokens, answer.tokens)


def _cohere_events(said: Json) -> Iterator[Json]:
    if "generations" in said:
        generation = said["generations"][0]
        for piece in pieces(generation["text"]):
            yield {"index": 0, "text": piece, "is_finished": False}
        yield {"index": 0, "is_finished": True, "finish_reason": generation["finish_reason"]}
        return
    yield {
        "event_type": "stream-start",
        "generation_id": said["generation_id"],
        "is_finished": False,
    }
    for piece in pieces(said["text"]):
        yield {"event_type": "text-generation", "text": piece, "is_finished": False}
    yield {
        "event_type": "stream-end",
        "is_finished": True,
        "finish_reason": said["finish_reason"],
        "response": said,
    }


# -- chat in the form that several families share ---------------------------------------------


def _chat(model_id: str, body: Json, model: SimulatedModel, ids: Ids) -> Tuple[Json, Tokens]:
    messages = objects(body.get("messages"))
    if not messages:
        raise ValueError("#: required key [messages] not found")
    asked = [m for m in messages if m.get("role") == "user"]
    prompt = Prompt(
        text="\n".join(str(m.get("content") or "") for m in messages),
        question=str(asked[-1].get("content") or "") if asked else "",
        max_tokens=body.get("max_tokens"),
        stop=strings(body.get("stop")),
    )
    answer = model.answer(prompt)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": "length" if answer.truncated else "stop",
    }
    usage = {
        "prompt_tokens": prompt.tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": prompt.tokens + answer.tokens,
    }
    said = {"id": ids.next("chatcmpl-"), "choices": [choice], "usage": usage}
    return said, (prompt.tokens, answer.tokens)


def _chat_events(said: Json) -> Iterator[Json]:
    choice = said["choices"][0]
    for piece in pieces(choice["message"]["content"]):
        yield {"id": said["id"], "choices": [{"index": 0, "delta": {"content": piece}}]}
    ended: Json = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield {"id": said["id"], "choices": [ended], "usage": said["usage"]}


def _prompt(body: Json, name: str, limit: Any, stop: Any) -> Prompt:
    text = body.get(name)
    if not isinstance(text, str):
        raise ValueError(f"#: required key [{name}] not found")
    # The marks of an instruction belong to the prompt, and not to the question in it.
    question = re.sub(r"</?s>|\[/?INST\]|<\|[^|]*\|>", "", text).strip()
    return Prompt(text=text, question=question, max_tokens=limit, stop=strings(stop))


def _compact(answer: Json) -> str:
    return json.dumps(answer, separators=(",", ":"))


def _whole(said: Json) -> Iterator[Json]:
    yield said


_ANTHROPIC = Family(_anthropic, message_events)
_LLAMA = Family(_llama, _llama_events)
_FAMILIES: List[Tuple[str, Family]] = [
    (r"anthropic\.", _ANTHROPIC),
    (r"amazon\.nova", Family(_nova, _nova_events)),
    (r"amazon\.titan-embed", Family(_titan_embedding, _whole, streams=False)),
    (r"amazon\.titan", Family(_titan, _titan_events)),
    (r"meta\.llama", _LLAMA),
    (r"mistral\.", Family(_mistral, _mistral_events)),
    (r"cohere\.command", Family(_cohere, _cohere_events)),
    (r"ai21\.jamba", Family(_chat, _chat_events)),
    # An imported model is known by its ARN alone; Llama's form is the one they usually have.
    (r":imported-model/", _LLAMA),
    (r"simulated-", _ANTHROPIC),
]
