"""What every entry of `objectives.runtimes.table.RUNTIMES` promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from objectives.accuracy import evaluate
from objectives.runtimes.base import Runtime
from objectives.runtimes.table import RUNTIMES, runtime
from storage.errors import FixInputError, GiveUpError
from tests.objectives.models import convolutional, images, linear, linear_weight


@pytest.fixture(params=sorted(RUNTIMES))
def each(request: pytest.FixtureRequest) -> Runtime:
    return runtime(request.param)


def test_names(each: Runtime) -> None:
    assert runtime(each.name).name == each.name
    assert each.version
    assert "\n" not in each.name + each.version


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_right_for_any_batch(each: Runtime, batch: int, threads: int) -> None:
    weight = linear_weight()
    session = each.session(linear(weight), threads)
    feed = images(batch)
    output = session(feed)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, feed.reshape(batch, -1) @ weight, rtol=1e-4, atol=1e-4)


def test_calls_repeat_and_leave_the_input_alone(each: Runtime) -> None:
    session = each.session(convolutional(), 1)
    feed = images(3)
    before = feed.copy()
    first = session(feed)
    kept = first.copy()
    session(images(3, seed=1))
    assert np.array_equal(first, kept)  # an output is not a buffer that the next call overwrites
    assert np.array_equal(session(feed), kept)
    assert np.array_equal(feed, before)


def test_input_need_not_be_contiguous(each: Runtime) -> None:
    session = each.session(convolutional(), 1)
    feed = images(4)
    strided = np.asfortranarray(feed)[::2]
    assert np.array_equal(session(strided), session(np.ascontiguousarray(feed[::2])))


def test_sessions_do_not_depend_on_one_another(each: Runtime) -> None:
    one, two = each.session(linear(linear_weight(1)), 1), each.session(linear(linear_weight(2)), 1)
    feed = images(2)
    expected = one(feed).copy()
    assert not np.allclose(two(feed), expected)
    del two
    assert np.array_equal(one(feed), expected)


def test_batches_of_an_evaluation_do_not_change_it(each: Runtime) -> None:
    session = each.session(convolutional(), 1)
    feed = images(10)
    whole = evaluate(session, feed, batch=10)
    assert whole.shape == (10, 5)
    np.testing.assert_allclose(evaluate(session, feed, batch=4), whole, atol=1e-5)


def test_floating_point_mode_of_the_process_stays(each: Runtime) -> None:
    session = each.session(convolutional(), 1)
    session(images(1))
    denormal = np.full(8, 1e-40, np.float32)
    assert (denormal * np.float32(0.5) > 0).all()


@pytest.mark.parametrize("junk", [b"", b"junk", convolutional()[:500]])
def test_junk_is_refused_in_one_line(each: Runtime, junk: bytes) -> None:
    with pytest.raises(GiveUpError, match=f"{each.name}.* refuses the model: .+") as caught:
        each.session(junk, 1)
    assert "\n" not in str(caught.value)


def test_wrong_input_is_named_in_one_line(each: Runtime) -> None:
    session = each.session(convolutional(), 1)
    with pytest.raises(GiveUpError, match=r"\(2, 3\)") as caught:
        session(np.zeros((2, 3), np.float32))
    assert "\n" not in str(caught.value)
    assert session(images(1)).shape == (1, 5)  # and the session lives on


def test_fixed_batch_axis_is_explained(each: Runtime) -> None:
    session = each.session(convolutional(batch=1), 1)
    with pytest.raises(GiveUpError, match="dynamic batch axis"):
        session(images(2))


def test_failing_calls_print_nothing(each: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    session = each.session(convolutional(batch=1), 1)
    with pytest.raises(GiveUpError):
        session(images(2))
    assert capfd.readouterr() == ("", "")


def test_threads_are_checked(each: Runtime) -> None:
    with pytest.raises(ValueError, match="threads"):
        each.session(convolutional(), 0)


def test_nothing_is_printed(each: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    each.session(convolutional(), 1)(images(2))
    with pytest.raises(GiveUpError):
        each.session(b"junk", 1)
    assert capfd.readouterr() == ("", "")


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(FixInputError, match=r'"abacus" is not known.*onnxruntime'):
        runtime("abacus")


def test_looking_one_up_loads_no_library() -> None:
    code = "import sys; from objectives.runtimes.table import RUNTIMES, runtime; list(map(runtime, RUNTIMES)); "
    code += "print(sorted({'torch', 'onnxruntime', 'openvino', 'onnx', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
