#!/usr/bin/env bash
# Collect every text of templates, Python and JavaScript into locale/, and compile. What is new
# stands there with an empty msgstr; tests/core/test_translations.py fails until it is filled.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
command -v xgettext >/dev/null || apt_install gettext || die "gettext is missing: apt-get install gettext"
.venv/bin/python scripts/refusal_texts.py
for domain in django djangojs; do
    .venv/bin/python manage.py makemessages -l hi -d "$domain" --no-location --no-obsolete \
        -i node_modules -i site -i .venv -i staticfiles -i var -i tests -i benchmarks
    catalogue="locale/hi/LC_MESSAGES/$domain.po"
    # A guess from a similar text is worse than none: its text stays, with nothing said for it.
    guessed="$(mktemp)"
    msgattrib --only-fuzzy --empty --clear-fuzzy -o "$guessed" "$catalogue"
    msgattrib --no-fuzzy -o "$catalogue" "$catalogue"
    [ ! -s "$guessed" ] || msgcat --use-first -o "$catalogue" "$catalogue" "$guessed"
    rm -f "$guessed"
    msgfmt --check-format --statistics -o "locale/hi/LC_MESSAGES/$domain.mo" "$catalogue"
done
