"""The demonstration's users: who they are, and their one password."""

import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password

from mockmarket.core.models import User

STUDENTS = 50
STAFF = "admin"
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread on paper


def student(number: int) -> str:
    """The user name of the n-th demo student, from 1."""
    return f"student{number:02}"


def password() -> str | None:
    """The demo password, or None when no demo was made here."""
    if settings.DEMO_PASSWORD:
        return str(settings.DEMO_PASSWORD)
    path = _password_file()
    return path.read_text().strip() if path.exists() else None


def make_demo_password() -> str:
    """The demo password; generated, and kept readable for the owner alone, on first use."""
    if known := password():
        return known
    made = "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(3))
    path = _password_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(made + "\n")
    return made


def is_seeded() -> bool:
    """Whether the demo's staff login exists in the database."""
    return User.objects.filter(username=STAFF).exists()


def create_users(*, secret: str) -> list[User]:
    """The demo's students and staff, made where missing; the students.

    One hash for all of them: argon2 takes about 50 ms on purpose, fifty of them seconds. Shared
    salts are for a demonstration only; every other path hashes each password by itself. When the
    demo password has changed, every demo login gets the new one.
    """
    staff = User.objects.filter(username=STAFF).first()
    unchanged = staff is not None and check_password(secret, staff.password)
    hashed = staff.password if staff is not None and unchanged else make_password(secret)
    names = [student(number) for number in range(1, STUDENTS + 1)]
    User.objects.bulk_create(
        [
            User(
                username=name,
                password=hashed,
                first_name="Student",
                last_name=name.removeprefix("student"),
                email=f"{name}@example.edu",
            )
            for name in names
        ]
        + [
            User(
                username=STAFF,
                password=hashed,
                first_name="Staff",
                email="admin@example.edu",
                is_staff=True,
                is_superuser=True,
            )
        ],
        ignore_conflicts=True,
    )
    if not unchanged:
        User.objects.filter(username__in=[*names, STAFF]).update(password=hashed)
    return list(User.objects.filter(username__in=names).order_by("username"))


def _password_file() -> Path:
    return Path(settings.VAR_DIR) / "demo_password"
