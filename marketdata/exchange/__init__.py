"""The simulated exchange: Upstox's wire (V3 feed and REST) over prices of our own.

The same client serves it and Upstox; only URLs and token differ. Prices are a pure function of
(seed, instrument, instant), so history and the live path are one path and a seed repeats a day.
"""
