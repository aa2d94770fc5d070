"""What lists of models say of a file, from its header alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci.engine.model_facts import ModelFacts, read_facts
from tests.support.model_files import put_model


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (ModelFacts(parameter_count=134_515_008), "135M"),
        (ModelFacts(parameter_count=7_241_732_096), "7.2B"),
        (ModelFacts(parameter_count=1_999_999), "2M"),
        (ModelFacts(parameter_count=70_553_706_560), "71B"),
        (ModelFacts(parameter_count=70_553_706_560, size_label="70B"), "70B"),
        (ModelFacts(parameter_count=7_000_000_000, size_label="Finetune"), "7B"),
        (
            ModelFacts(
                parameter_count=26_000_000_000, expert_parameter_count=25_000_000_000, experts=128, experts_used=15
            ),
            "26B-A3.9B",
        ),
        (ModelFacts(parameter_count=0), None),
        (ModelFacts(parameter_count=640), "640"),
    ],
)
def test_the_size_in_words(facts: ModelFacts, shown: str | None):
    assert facts.params_string == shown


def test_bits_a_weight_come_from_the_tensors(starter_model: Path):
    facts = read_facts(starter_model)
    assert (facts.quantization, facts.params_string, facts.kind) == ("Q4_1", "135M", "llm")
    assert facts.bits_per_weight == pytest.approx(5.74)
    assert facts.max_context_length == 8192
    assert facts.abilities.system
    assert not facts.abilities.tools


def test_a_separate_template_for_tools_counts(tmp_path: Path):
    more = {"tokenizer.chat_template.tool_use": "{{ tools }}"}
    assert read_facts(put_model(tmp_path, "a.gguf", more=more)).abilities.tools
    assert not read_facts(put_model(tmp_path, "b.gguf")).abilities.tools


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path):
    facts = read_facts(tmp_path / "none.gguf")
    assert (facts.reason, facts.problem.endswith("does not exist.")) == ("missing", True)
