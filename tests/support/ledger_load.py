"""Writes to the books until told to stop: `python -m tests.support.ledger_load`.

Prints one line a committed entry, "portfolio seq"; what was printed was committed. Ends when its
standard input is closed.
"""

import os
import random
import select
import sys
from decimal import Decimal

import django


def main() -> None:
    """Adjust the cash of random portfolios of the practice contest."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
    django.setup()

    from mockmarket.core import clock
    from mockmarket.core.models import User
    from portfolios import booking
    from portfolios.models import Portfolio

    staff = User.objects.get(username="admin")
    portfolios = list(Portfolio.objects.all())
    chosen = random.Random(os.getpid())
    while not select.select([sys.stdin], [], [], 0)[0]:
        entry = booking.adjust_cash(
            portfolio=chosen.choice(portfolios),
            amount=Decimal(chosen.randint(-500, 500) or 1),
            reason="load",
            actor=staff,
            at=clock.now(),
        )
        sys.stdout.write(f"{entry.portfolio_id} {entry.seq}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
