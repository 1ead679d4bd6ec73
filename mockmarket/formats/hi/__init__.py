"""How Django itself shows dates, in the administration above all: as every page does."""
