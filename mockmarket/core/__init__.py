"""What every app may use: money, time, errors, the bus, users. Imports no app."""
