#!/usr/bin/env python
"""Django's command-line entry point."""

import gc
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
    # What is imported stays: looking through it for garbage again and again was a quarter of
    # every start (0.45 of 1.75 s of processor).
    gc.disable()
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        django.setup()
        gc.freeze()
        gc.enable()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting is wrong: its name says more than a traceback
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
