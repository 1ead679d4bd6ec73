"""Pages of trading: the dashboard, the share's page, the ticket, orders."""
