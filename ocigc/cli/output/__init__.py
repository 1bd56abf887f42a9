"""Shows results: as tables, on the terminal, as metrics and as a page."""
