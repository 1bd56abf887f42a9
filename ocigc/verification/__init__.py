"""Verifies a layout: digests, sizes, forms and completeness; repairs it from another."""
