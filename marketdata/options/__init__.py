"""Options: prices and Greeks, the chain, and what is read from it. Pure modules."""
