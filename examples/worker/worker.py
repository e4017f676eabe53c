"""The worker process: a numbered tick each second, and a last word when it is told to stop."""
import itertools
import os
import signal
import sys
import time


def stop(*_):
    print("worker stops")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
for n in itertools.count(1):
    print("tick", n, "of", os.environ.get("BERTH_INSTANCE", "worker"))
    time.sleep(1)
