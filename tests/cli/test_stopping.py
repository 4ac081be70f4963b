import signal
import threading

import pytest

from raysuite.cli.stopping import Terminated, terminable


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


def test_another_thread_leaves_signals_alone(handler):
    inside = []

    def work():
        with terminable():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [handler]
