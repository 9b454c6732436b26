"""Two processes of which the last one is lost while the first one is not listening."""

import os
import signal
import time

from mamlbook.execution.process_group import processes

with processes() as group:
    group.collect(None)
    if group.rank:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
