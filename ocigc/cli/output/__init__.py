"""How results look: tables, terminal, metrics and the page."""
