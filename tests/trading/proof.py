"""The invariants of the books in plain SQL, written beside the product's own check.

Each statement finds what must not be; the state machine asks them after every step, where
`check_ledger` (ORM, and the fold of every position) would cost twenty times as much. Only columns
and sums, so that both engines understand them. Amounts are integers of paise in the database.
"""

from django.db import connection

STATEMENTS = {
    "L1 every entry sums to zero": """
        SELECT entry_id FROM portfolios_posting GROUP BY entry_id HAVING SUM(amount) <> 0""",
    "L1 every entry has postings": """
        SELECT e.id FROM portfolios_ledgerentry e
        LEFT JOIN portfolios_posting p ON p.entry_id = e.id WHERE p.id IS NULL""",
    "L2 cash covers what is reserved": """
        SELECT id FROM portfolios_portfolio WHERE reserved < 0 OR cash < reserved OR debt < 0""",
    "L3 reservations are those of live orders": """
        SELECT p.id FROM portfolios_portfolio p
        LEFT JOIN trading_order o ON o.portfolio_id = p.id AND o.status IN
            ('QUEUED', 'OPEN', 'TRIGGER_PENDING', 'WAITING_FRESH_QUOTE', 'PARTIALLY_FILLED')
        GROUP BY p.id, p.reserved HAVING p.reserved <> COALESCE(SUM(o.reserved), 0)""",
    "L4 cash and margin are sums of postings": """
        SELECT p.id FROM portfolios_portfolio p
        LEFT JOIN portfolios_posting x ON x.portfolio_id = p.id
        GROUP BY p.id, p.cash, p.margin
        HAVING p.cash <> COALESCE(SUM(CASE WHEN x.account = 'CASH' THEN x.amount END), 0)
            OR p.margin <> COALESCE(SUM(CASE WHEN x.account = 'MARGIN' THEN x.amount END), 0)""",
    "L6 one fill, one entry": """
        SELECT 1 WHERE (SELECT COUNT(*) FROM trading_fill)
            <> (SELECT COUNT(*) FROM portfolios_ledgerentry WHERE kind = 'FILL')""",
    "L9 entries are numbered without a gap": """
        SELECT p.id FROM portfolios_portfolio p
        LEFT JOIN portfolios_ledgerentry e ON e.portfolio_id = p.id
        GROUP BY p.id, p.entry_seq
        HAVING COUNT(e.id) <> p.entry_seq OR COALESCE(MAX(e.seq), 0) <> p.entry_seq""",
    "M1 an order has filled what its fills say": """
        SELECT o.id FROM trading_order o LEFT JOIN trading_fill f ON f.order_id = o.id
        GROUP BY o.id, o.filled_quantity, o.quantity
        HAVING o.filled_quantity <> COALESCE(SUM(f.quantity), 0)
            OR o.filled_quantity > o.quantity""",
    "M3 no fill beyond its limit": """
        SELECT f.id FROM trading_fill f JOIN trading_order o ON o.id = f.order_id
        WHERE o.version = 1 AND o.price IS NOT NULL AND (
            (o.side = 'BUY' AND f.price > o.price) OR (o.side = 'SELL' AND f.price < o.price))""",
    "M7 delivery is never short": """
        SELECT id FROM portfolios_position WHERE product = 'CNC' AND quantity < 0""",
    "M8 a position is its fills and changes": """
        SELECT h.id FROM portfolios_position h WHERE h.quantity <> (
            SELECT COALESCE(SUM(CASE WHEN o.side = 'BUY' THEN f.quantity ELSE -f.quantity END), 0)
            FROM trading_fill f JOIN trading_order o ON o.id = f.order_id
            WHERE o.portfolio_id = h.portfolio_id AND o.instrument_id = h.instrument_id
                AND o.product = h.product
        ) + (SELECT COALESCE(SUM(c.quantity), 0) FROM trading_positionchange c
            WHERE c.position_id = h.id)""",
    "M9 what is held at cost is what was posted": """
        SELECT p.id FROM portfolios_portfolio p WHERE (
            SELECT COALESCE(SUM(cost), 0) FROM portfolios_position WHERE portfolio_id = p.id
        ) <> (SELECT COALESCE(SUM(amount), 0) FROM portfolios_posting
            WHERE portfolio_id = p.id AND account = 'SECURITIES')""",
    "D3 events are numbered without a gap": """
        SELECT user_id FROM core_outboxevent GROUP BY user_id
        HAVING COUNT(*) <> MAX(seq) OR MIN(seq) <> 1""",
}


def breaches() -> list[str]:
    """The names of the invariants that do not hold."""
    with connection.cursor() as cursor:
        return [name for name, sql in STATEMENTS.items() if cursor.execute(sql).fetchone()]


def orders() -> list[tuple[str, str, int]]:
    """Id, status and filled quantity of every order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, status, filled_quantity FROM trading_order")
        return [(str(pk), status, int(filled)) for pk, status, filled in cursor.fetchall()]


def changes() -> int | None:
    """A count that stands still while the database does; None where the engine has none."""
    if connection.vendor != "sqlite":
        return None
    connection.ensure_connection()
    return int(connection.connection.total_changes)
