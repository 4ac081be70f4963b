import signal
import threading

import pytest

from raysuite.cli.jobs import watching
from raysuite.cli.stopping import Terminated, code_of, terminable


@pytest.fixture
def handler():
    """A handler of somebody else's, which must be there again afterwards."""

    def somebody(_number, _frame):
        raise AssertionError("was not taken over")

    before = signal.signal(signal.SIGTERM, somebody)
    yield somebody
    signal.signal(signal.SIGTERM, before)


def test_sigterm_interrupts_and_what_it_did_before_is_put_back(handler):
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_sigterm_that_a_library_took_for_ctrl_c_is_sigterm_again(handler):
    @terminable()
    def wait():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(Terminated):
        wait()
    with pytest.raises(KeyboardInterrupt) as caught, terminable():
        raise KeyboardInterrupt
    assert code_of(caught.value) == 130


def test_another_thread_leaves_signals_alone(handler):
    inside = []

    def work():
        with terminable():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [handler]


def test_a_second_sigterm_does_not_disturb_the_cleaning_up(handler):
    cleaned = []

    @terminable()
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    with pytest.raises(Terminated):
        work()
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_where_sigterm_is_ignored_it_stays_so(handler):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with terminable():
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_the_exit_code_tells_which_of_them_it_was(stop, code):
    assert code_of(stop) == code
    with pytest.raises(SystemExit) as left, watching("one"):
        raise stop
    assert left.value.code == code
