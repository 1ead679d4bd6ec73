"""Fill the benchmark's database: `python -m benchmarks.streaming.setup SOCKETS`."""

import hashlib
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from benchmarks.streaming.workload import KEYS  # noqa: E402
from marketdata.models import Instrument  # noqa: E402
from mockmarket.core import clock  # noqa: E402
from mockmarket.core.models import ApiToken, User, UserStream  # noqa: E402


def main() -> None:
    """Instruments, and one user with a token `mm_bench<number>` for each socket."""
    sockets = int(sys.argv[1])
    call_command("migrate", verbosity=0)
    Instrument.objects.bulk_create(
        Instrument(
            key=key, symbol=f"S{number}", name=key, exchange="NSE", segment="NSE_EQ",
            instrument_type="EQ",
        )
        for number, key in enumerate(KEYS)
    )  # fmt: skip
    users = User.objects.bulk_create(
        User(username=f"bench{number}", password="!") for number in range(sockets)
    )
    UserStream.objects.bulk_create(UserStream(user=user) for user in users)
    now = clock.now()
    ApiToken.objects.bulk_create(
        ApiToken(
            user=user,
            name="bench",
            digest=hashlib.sha256(f"mm_bench{number}".encode()).hexdigest(),
            last_four="0000",
            created_at=now,
            last_used_at=now,
        )
        for number, user in enumerate(users)
    )


if __name__ == "__main__":
    main()
