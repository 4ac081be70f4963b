import pytest
import torch

from raysuite.errors import DetectorError
from raysuite.memory import in_parts, is_out_of_memory, told_as


def fitting(count, seen):
    """A computation whose memory holds so many rows."""

    def compute(batch_N):
        seen.append(len(batch_N))
        if len(batch_N) > count:
            raise torch.OutOfMemoryError("CUDA out of memory.\nMany more lines")
        return 2 * batch_N

    return compute


def test_an_allocation_that_really_fails_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_what_libraries_say_of_memory_is_known_also_when_a_compiler_repeats_it(error):
    assert is_out_of_memory(error)
    with pytest.raises(LookupError) as caught:
        raise LookupError("the compiler failed") from error
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_parts_that_fit_give_what_the_whole_would(count):
    seen = []
    rows = torch.arange(7.0)
    assert torch.equal(in_parts(fitting(count, seen), rows), 2 * rows)
    assert sum(rows for rows in seen if rows <= count) == 7
    assert max(seen) == 7


def test_a_single_row_that_does_not_fit_and_another_error_come_through():
    with pytest.raises(torch.OutOfMemoryError):
        in_parts(fitting(0, []), torch.arange(4.0))
    seen = []

    def broken(batch_N):
        seen.append(len(batch_N))
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"):
        in_parts(broken, torch.arange(4.0))
    assert seen == [4]


def test_it_is_told_in_one_sentence_and_other_errors_as_they_are():
    sentence = r"^too large: lower it \(CUDA out of memory\.\)$"
    with pytest.raises(DetectorError, match=sentence), told_as(DetectorError, "too large: lower it"):
        fitting(0, [])(torch.arange(4.0))
    with pytest.raises(ZeroDivisionError), told_as(DetectorError, "too large"):
        _ = 1 / 0
