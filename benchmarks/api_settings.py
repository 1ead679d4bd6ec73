"""The product's settings for the benchmark's server: its database, its rivals, no throttles."""

import os

from mockmarket.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.api_rivals"
READS_PER_SECOND = ORDERS_PER_SECOND = ORDERS_PER_MINUTE = 10**9
DATABASES["default"]["NAME"] = os.environ["BENCH_DATABASE"]  # noqa: F405
