"""Processes that work for another one."""

import multiprocessing
import os
import signal
import threading

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


def live_and_die_with_main(_worker: int = 0) -> None:
    """Ctrl-C and a queue's stop signals reach the whole process group: the main process decides what they mean.

    A killed one leaves nobody to stop its workers, which may have another parent that lives as long as they do.
    """
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_exit_after_main, daemon=True).start()


def _exit_after_main() -> None:
    main = multiprocessing.parent_process()
    assert main is not None
    main.join()
    os._exit(1)
