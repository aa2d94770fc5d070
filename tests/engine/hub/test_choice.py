"""Which file is taken of those that a repository lists."""

from __future__ import annotations

import pytest

from roci.engine.hub.choice import choose, fits, machine_memory_bytes
from roci.engine.hub.repository import Repository, read_repository
from roci.engine.recommended import CATALOG, RECOMMENDED, catalog_model, source_for
from roci.errors import ModelNotFoundError, NotEnoughMemoryError, UnexpectedReplyError
from roci.wire.huggingface.types import HubModel, LargeFile, Sibling

GB = 10**9
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def repository(files: dict[str, float], revision: str = "main") -> Repository:
    """A repository of files with these sizes in gigabytes."""
    siblings = [
        Sibling(rfilename=name, size=int(size * GB), lfs=LargeFile(sha256="A" * 64)) for name, size in files.items()
    ]
    return read_repository(HubModel(id="a/b", sha=COMMIT, siblings=siblings), "https://hub", "a/b", revision)


USUAL = repository(
    {
        "m-Q2_K.gguf": 3,
        "m-Q4_K_M.gguf": 5,
        "m-UD-Q4_K_XL.gguf": 5.2,
        "m-Q8_0.gguf": 8,
        "m-F16.gguf": 16,
        "m-imatrix.gguf": 0.1,
        "README.md": 0,
    }
)


def names(found: Repository) -> list[str]:
    return [one.quantization for one in found.variants]


def test_variants_are_called_by_their_quantization() -> None:
    assert sorted(names(USUAL)) == ["F16", "Q2_K", "Q4_K_M", "Q8_0", "UD-Q4_K_XL"]


def test_files_come_from_the_commit_that_was_listed() -> None:
    file = repository({"Q4/my m-Q4_0.gguf": 1}).variants[0].files[0]

    assert file.url == f"https://hub/a/b/resolve/{COMMIT}/Q4/my%20m-Q4_0.gguf"
    assert (file.name, file.sha256) == ("my m-Q4_0.gguf", "a" * 64)
    assert repository({"x.gguf": 1}, "v2").variants[0].files[0].url == "https://hub/a/b/resolve/v2/x.gguf"


def test_parts_of_one_model_are_one_and_must_be_complete() -> None:
    whole = {f"Q8/m-Q8_0-0000{part}-of-00002.gguf": 4.0 for part in (1, 2)}
    found = repository({**whole, "m-Q4_0-00001-of-00002.gguf": 1, "mmproj-m-F16.gguf": 0.5})

    assert names(found) == ["Q8_0"]
    assert found.variants[0].size_bytes == 8 * GB
    assert [file.name for file in found.variants[0].files] == [
        "m-Q8_0-00001-of-00002.gguf",
        "m-Q8_0-00002-of-00002.gguf",
    ]
    assert [file.name for file in found.projectors] == ["mmproj-m-F16.gguf"]


def test_files_of_one_name_in_two_folders_get_two_names() -> None:
    found = repository({"Q4_0/model.gguf": 1, "Q8_0/model.gguf": 2})

    assert names(found) == ["Q4_0", "Q8_0"]
    assert [one.files[0].name for one in found.variants] == ["Q4_0-model.gguf", "Q8_0-model.gguf"]


@pytest.mark.parametrize("name", ["../../x.gguf", "/etc/x.gguf", "a/../x.gguf", "a\\x.gguf"])
def test_a_listing_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UnexpectedReplyError, match="impossible name"):
        repository({name: 1})


def test_the_best_that_leaves_a_fifth_of_memory_is_taken_and_why_is_said() -> None:
    choice = choose(USUAL, 8 * GB)

    assert choice.variant.quantization == "UD-Q4_K_XL"
    assert choice.reason == "UD-Q4_K_XL: the best of 5 that leaves 20 % of 8 GB free"


def test_sixteen_bits_are_taken_only_where_there_is_nothing_else() -> None:
    assert choose(USUAL, 64 * GB).variant.quantization == "Q8_0"
    assert choose(repository({"m-BF16.gguf": 16}), 64 * GB).variant.quantization == "BF16"


def test_the_projector_counts_and_comes_along() -> None:
    seeing = repository({"m-Q8_0.gguf": 8, "m-Q4_0.gguf": 5, "mmproj-BF16.gguf": 1, "mmproj-F16.gguf": 1})
    choice = choose(seeing, 11 * GB)

    assert choice.variant.quantization == "Q4_0"
    assert choice.projector is not None
    assert choice.projector.name == "mmproj-F16.gguf"


def test_a_quantization_that_is_asked_for_is_taken_whatever_its_size() -> None:
    choice = choose(USUAL, 4 * GB, quantization="q8_0")

    assert choice.variant.quantization == "Q8_0"
    assert choice.reason == "Q8_0: as asked; it does not leave 20 % of 4 GB free"


def test_a_preferred_one_is_taken_if_it_fits() -> None:
    assert choose(USUAL, 64 * GB, preferred="Q4_K_M").variant.quantization == "Q4_K_M"
    assert choose(USUAL, 4 * GB, preferred="Q4_K_M").variant.quantization == "Q2_K"


def test_an_unknown_quantization_names_those_there_are() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        choose(USUAL, 8 * GB, quantization="Q4_K_S")
    assert "a/b@Q4_K_M" in caught.value.similar
    assert "There are: " in caught.value.hint


def test_where_nothing_fits_the_smallest_is_named_and_can_be_forced() -> None:
    with pytest.raises(NotEnoughMemoryError, match=r"the smallest, Q2_K, takes 3 GB") as caught:
        choose(USUAL, 2 * GB)
    assert "--force" in caught.value.hint
    assert "a/b@Q2_K" in caught.value.hint
    assert choose(USUAL, 2 * GB, force=True).variant.quantization == "Q2_K"


def test_a_repository_without_models_says_so() -> None:
    with pytest.raises(ModelNotFoundError, match="no whole GGUF"):
        choose(repository({"README.md": 1}), 8 * GB)


def test_a_model_fits_if_a_fifth_of_memory_stays_free() -> None:
    assert fits(int(7.9 * GB), 10 * GB)
    assert not fits(8 * GB, 10 * GB)
    assert machine_memory_bytes() > 0


# ---- the catalog


def test_the_recommended_models_are_the_six() -> None:
    assert [(one.title, one.size_bytes, one.quantization, one.role) for one in RECOMMENDED] == [
        ("Llama-3.3-70B", 35 * GB, "Q4_K_M", "chat and reasoning"),
        ("Mistral-7B", 4 * GB, "Q8_0", "light"),
        ("CodeLlama-34B", 20 * GB, "Q5_K_M", "code"),
        ("Mixtral-8x7B", 24 * GB, "Q4_K_S", "versatile"),
        ("DeepSeek-R1", None, "Q4_K_M", "reasoning"),
        ("Phi-3-mini", 2 * GB, "Q4_K_M", "ultra-light"),
    ]
    assert {one.role for one in CATALOG} >= {"starter", "embedding"}


def test_a_model_that_varies_is_the_largest_that_fits() -> None:
    model = catalog_model("DeepSeek-R1")
    assert model is not None

    assert "70B" in source_for(model, 64 * GB).repo
    assert "14B" in source_for(model, 16 * GB).repo
    assert "1.5B" in source_for(model, GB).repo
