"""Sets the clock of every Python process that has this folder on PYTHONPATH ahead, by
CLOCK_AHEAD_SECONDS: a whole product lives through a day that is not today. It keeps ticking;
`time.monotonic` stays. (Not Valkey's clock: what is kept there has lifetimes, no dates.)"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CLOCK_AHEAD_SECONDS"]), tick=True).start()
