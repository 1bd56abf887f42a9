"""Verifies a layout: digests, sizes, forms and completeness. Repairs it from another layout."""
