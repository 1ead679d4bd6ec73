"""A password hasher for tests: the product's own, at the least cost that argon2 knows.

What it makes, the product verifies: the parameters stand in the hash. At its real cost one sign-in
took 0.5 s of two cores here, and several hundred tests sign somebody in.
"""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickHasher(Argon2PasswordHasher):
    """Argon2 with 64 KiB, one pass and one lane, instead of 100 MiB, two and eight."""

    time_cost = 1
    memory_cost = 64
    parallelism = 1
