"""A model file's header: what is read of it, and how a file that is none is told apart."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from roci.engine.gguf_header import read_header
from roci.errors import BadModelFileError
from tests.support.tiny_gguf import gguf_bytes, write_tiny_gguf


def refusal(path: Path) -> BadModelFileError:
    with pytest.raises(BadModelFileError) as caught:
        read_header(path)
    return caught.value


def test_the_starter_models_header_is_read(starter_model: Path):
    header = read_header(starter_model)
    assert header.architecture == "llama"
    assert header.quantization == "Q4_1"
    assert header.context_limit_tokens == 8192
    assert header.layers == 30
    assert header.kv_heads == (3,) * 30
    assert (header.key_length, header.value_length, header.embedding_length) == (64, 64, 576)
    assert header.kv_bytes_per_token == 23_040
    assert header.parameter_count == 134_515_008
    assert "<|im_start|>" in (header.chat_template or "")
    assert not header.is_embedding


def test_a_tiny_file_is_read_whole(tmp_path: Path):
    header = read_header(write_tiny_gguf(tmp_path / "tiny.gguf", context=4096, chat_template=None))
    assert (header.architecture, header.name, header.context_limit_tokens) == ("llama", "Tiny", 4096)
    assert header.chat_template is None
    assert header.parameter_count == 64
    assert header.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2


def test_heads_may_differ_by_layer(tmp_path: Path):
    more = {"llama.attention.head_count_kv": [4, 1]}
    assert read_header(write_tiny_gguf(tmp_path / "t.gguf", more=more)).kv_heads == (4, 1)


@pytest.mark.parametrize(
    ("architecture", "more", "expected"),
    [
        ("bert", {}, True),
        ("qwen3", {"qwen3.pooling_type": 3}, True),
        ("qwen3", {"qwen3.pooling_type": 0}, False),
        ("qwen3", {}, False),
    ],
)
def test_an_embedding_model_is_known_by_architecture_or_pooling(
    tmp_path: Path, architecture: str, more: dict[str, int], expected: bool
):
    path = write_tiny_gguf(tmp_path / "e.gguf", architecture=architecture, more=more)
    assert read_header(path).is_embedding is expected


def test_a_file_that_is_not_there_is_missing(tmp_path: Path):
    error = refusal(tmp_path / "gone.gguf")
    assert error.reason == "missing"
    assert "roci models" in error.hint


def test_a_folder_is_not_a_model(tmp_path: Path):
    assert refusal(tmp_path).reason == "not_gguf"


@pytest.mark.parametrize("magic", [b"ggml", b"lmgg", b"ggmf", b"fmgg", b"ggjt", b"tjgg", b"ggla", b"algg"])
def test_old_ggml_files_are_named_as_such_in_either_byte_order(tmp_path: Path, magic: bytes):
    (tmp_path / "old.bin").write_bytes(magic + bytes(100))
    error = refusal(tmp_path / "old.bin")
    assert error.reason == "old_format"
    assert "newer GGUF" in error.hint


def test_version_1_of_gguf_is_an_old_format(tmp_path: Path):
    (tmp_path / "v1.gguf").write_bytes(gguf_bytes({"general.architecture": "llama"}, version=1))
    assert refusal(tmp_path / "v1.gguf").reason == "old_format"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs/spec/v1", "Git LFS"),
        (b"PK\3\4", ".gguf"),
    ],
)
def test_what_is_no_gguf_is_recognised(tmp_path: Path, data: bytes, hint: str):
    (tmp_path / "x.gguf").write_bytes(data * 3)
    error = refusal(tmp_path / "x.gguf")
    assert error.reason == "not_gguf"
    assert hint in error.hint


def test_a_file_for_big_endian_machines_is_said_to_be_one(tmp_path: Path):
    (tmp_path / "big.gguf").write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    assert "big-endian" in refusal(tmp_path / "big.gguf").message


@pytest.mark.parametrize("length", [0, 2, 4, 7, 12, 30, 300])
def test_a_header_that_is_cut_is_truncated(tmp_path: Path, length: int):
    (tmp_path / "cut.gguf").write_bytes(write_tiny_gguf(tmp_path / "whole.gguf").read_bytes()[:length])
    assert refusal(tmp_path / "cut.gguf").reason == "truncated"


def test_tensors_that_reach_past_the_end_are_truncated(tmp_path: Path):
    data = write_tiny_gguf(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(data[:-1])
    error = refusal(tmp_path / "cut.gguf")
    assert error.reason == "truncated"
    assert f"{len(data):,}" in error.message
    assert "download it again" in error.hint


def test_a_tensor_type_from_the_future_is_left_to_the_engine(tmp_path: Path):
    data = gguf_bytes({"general.architecture": "llama"}, tensor_type=999)
    (tmp_path / "new.gguf").write_bytes(data)
    assert read_header(tmp_path / "new.gguf").architecture == "llama"


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<QQ", 0, 2**63),  # entries
        struct.pack("<QQ", 2**63, 0),  # tensors
        struct.pack("<QQQ", 0, 1, 2**62),  # a key's length
        struct.pack("<QQQ1sIIQ", 0, 1, 1, b"k", 9, 8, 2**62),  # strings in an array
        struct.pack("<QQQ1sIIQ", 0, 1, 1, b"k", 9, 4, 2**62),  # numbers in an array
        struct.pack("<QQQ1sIIQQ", 0, 1, 1, b"k", 9, 8, 1, 2**62),  # a string in an array
        struct.pack("<QQQ1sI", 0, 1, 1, b"k", 77),  # a type
    ],
    ids=["entries", "tensors", "key", "strings", "numbers", "string", "type"],
)
def test_hostile_counts_are_refused_at_once(tmp_path: Path, body: bytes):
    (tmp_path / "evil.gguf").write_bytes(b"GGUF" + struct.pack("<I", 3) + body)
    assert refusal(tmp_path / "evil.gguf").reason == "damaged"


def test_a_header_without_an_architecture_is_damaged(tmp_path: Path):
    (tmp_path / "x.gguf").write_bytes(gguf_bytes({"general.name": "x"}))
    assert refusal(tmp_path / "x.gguf").reason == "damaged"


@pytest.mark.parametrize("bad", ["eight", 2.5, True])
def test_a_setting_of_the_wrong_type_is_damage(tmp_path: Path, bad: object):
    path = write_tiny_gguf(tmp_path / "x.gguf", more={"llama.block_count": bad})  # type: ignore[dict-item]
    assert refusal(path).reason == "damaged"


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_change_of_bytes_gives_a_header_or_our_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    whole = bytearray(write_tiny_gguf(folder / "x.gguf").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "x.gguf").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        outcome = read_header(folder / "x.gguf").architecture and "read"
    except BadModelFileError as error:
        outcome = error.reason
    assert outcome in {"read", "truncated", "damaged", "not_gguf", "old_format"}
