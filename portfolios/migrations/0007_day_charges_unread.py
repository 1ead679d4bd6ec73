"""The day's charges of a position are no longer kept: nothing reads them.

Day P&L counts every booking of the day instead. The column stays for one release, with a default
in the database, because the version before names it in every statement; the next release drops it.
"""

import mockmarket.core.money
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('portfolios', '0006_results_append_only'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.AlterField(
                    model_name='position',
                    name='day_charges',
                    field=mockmarket.core.money.MoneyField(db_default=0, default=0),
                ),
            ],
            state_operations=[
                migrations.RemoveField(model_name='position', name='day_charges'),
            ],
        ),
    ]
