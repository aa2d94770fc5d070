"""Receipts of several calls as one, and the policy of retries."""

from __future__ import annotations

import pytest

from roci.errors import UsageError
from roci.types.receipt import Adjustment, Receipt, Retry, combined
from roci.types.retries import RetryPolicy


def test_one_receipt_is_itself_and_none_is_empty() -> None:
    receipt = Receipt(model_asked="m")

    assert combined([receipt]) is receipt
    assert combined([]) == Receipt()


def test_rounds_add_up() -> None:
    change = Adjustment(setting="reasoning", asked="on", sent="medium")
    first = Receipt(
        model_asked="m",
        model_answered="m:2",
        ignored=(change,),
        reasoning_ran=False,
        context_used_tokens=100,
        context_limit_tokens=4096,
        cached_tokens=10,
        waiting_s=1.0,
        load_s=5.0,
        time_to_first_token_s=6.0,
        seconds_per_token=0.1,
        retries=(Retry(reason="busy", waited_s=0.5),),
        notes=("n",),
    )
    second = Receipt(
        model_asked="m",
        model_answered="m:2",
        ignored=(change,),
        reasoning_ran=True,
        context_used_tokens=150,
        cached_tokens=90,
        dropped_messages=2,
        waiting_s=0.5,
        time_to_first_token_s=0.2,
        seconds_per_token=0.3,
        schema="enforced",
        notes=("n", "o"),
    )
    whole = combined([first, second])

    assert (whole.model_asked, whole.model_answered, whole.schema) == ("m", "m:2", "enforced")
    assert (whole.ignored, whole.notes, len(whole.retries)) == ((change,), ("n", "o"), 1)
    assert (whole.context_used_tokens, whole.context_limit_tokens, whole.cached_tokens) == (150, 4096, 100)
    assert (whole.waiting_s, whole.load_s, whole.prefill_s, whole.time_to_first_token_s) == (1.5, 5.0, None, 6.0)
    assert (whole.reasoning_ran, whole.dropped_messages, whole.suspected_truncation) == (True, 2, False)
    assert whole.seconds_per_token == pytest.approx(0.2)


@pytest.mark.parametrize(
    "values", [{"max_retries": -1}, {"max_retries": 11}, {"max_wait_s": -1}, {"max_wait_s": float("inf")}]
)
def test_a_policy_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="retries"):
        RetryPolicy(**values)  # pyright: ignore[reportArgumentType]
