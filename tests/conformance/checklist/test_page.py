"""`docs/compatibility.md` is what the marks on tests say, and leaves nothing of LM Studio's out."""

from __future__ import annotations

import pytest

from tests.support.compatibility import PAGE, Row, page, rows

# What LM Studio's routes take and give. Each word is looked for among the options of its endpoint's lines.
SURFACE = {
    "GET /lmstudio-greeting": "reply",
    "GET /lms-status": "control port",
    "GET /v1/models": "owned_by loading",
    "GET /api/v0/models": "id type publisher arch quantization state max_context_length loaded_context_length "
    "capabilities",
    "GET /api/v0/models/{model}": "entry",
    "GET /api/v1/models": "type key publisher display_name architecture quantization size_bytes params_string format "
    "max_context_length capabilities description loaded_instances variants selected_variant",
    "POST /v1/chat/completions": "messages tool_calls tool_call_id developer image_url temperature top_p top_k min_p "
    "repeat_penalty presence_penalty frequency_penalty logit_bias seed stop max_tokens max_completion_tokens "
    "include_usage tools tool_choice json_schema json_object ttl draft_model preset reasoning_effort `n` logprobs "
    "top_logprobs store user metadata parallel_tool_calls service_tier stats reasoning_content usage finish_reason "
    "system_fingerprint [DONE] delta.tool_calls",
    "POST /v1/completions": "prompt max_tokens temperature top_p top_k repeat_penalty stop seed penalties logit_bias "
    "suffix echo `n` logprobs [DONE]",
    "POST /v1/embeddings": "input encoding_format dimensions usage over-long",
    "POST /v1/responses": "input instructions previous_response_id store reasoning.effort function mcp tool_choice "
    "parallel_tool_calls temperature top_p max_output_tokens include top_logprobs text.format truncation ttl "
    "function_call_output input_image status stream",
    "POST /v1/messages": "system messages max_tokens image tool_use thinking tools tool_choice temperature top_p top_k "
    "stop_sequences metadata cache_control message_start message_stop content_block stop_reason",
    "POST /v1/messages/count_tokens": "route",
    "POST /api/v0/chat/completions": "options stats model_info runtime stop_reason speculative [DONE]",
    "POST /api/v0/completions": "options stats model_info runtime [DONE]",
    "POST /api/v0/embeddings": "input model_info runtime ttl",
    "POST /api/v1/chat": "input image system_prompt integrations plugin ephemeral_mcp temperature top_p min_p top_k "
    "repeat_penalty max_output_tokens reasoning context_length store previous_response_id response_id "
    "model_instance_id output stats chat.start chat.end model_load.start prompt_processing.start reasoning.start "
    "tool_call.start tool_call.failure message.start error unrecognized_keys",
    "POST /api/v1/models/load": "model context_length eval_batch_size flash_attention num_experts "
    "offload_kv_cache_to_gpu echo_load_config copy parallel ttl identifier rope kv_cache_type use_mmap draft_model",
    "POST /api/v1/models/unload": "instance_id",
    "POST /api/v1/models/download": "model quantization status job_id total_size_bytes already_downloaded",
    "GET /api/v1/models/download/status/{job_id}": "bytes unknown",
    "Every route": "WebSockets MLX TLS CORS authentication path idle four connection",
}


@pytest.fixture(scope="module")
def marked() -> list[Row]:
    return rows()


@pytest.mark.parametrize("endpoint", SURFACE)
def test_every_option_of_lm_studio_has_a_line(marked: list[Row], endpoint: str):
    told = " ".join(row.option for row in marked if row.endpoint == endpoint)
    words = SURFACE[endpoint].split()
    assert [word for word in words if word not in told] == []


def test_a_line_is_judged_once(marked: list[Row]):
    judged = {(row.endpoint, row.option, row.verdict) for row in marked}
    assert len(judged) == len({(row.endpoint, row.option) for row in marked})


def test_a_line_of_the_description_is_a_route(marked: list[Row]):
    from roci.server.routes import OPERATIONS

    routes = {f"{operation.method} {operation.path}" for operation in OPERATIONS}
    there = {row.endpoint for row in marked if row.verdict != "missing" and " /" in row.endpoint}
    assert {endpoint.replace("{id}", "{model_id}") for endpoint in there} <= routes


def test_the_page_is_what_the_marks_say(marked: list[Row]):
    assert PAGE.read_text(encoding="utf-8") == page(marked), "stale: run `make compatibility`"
