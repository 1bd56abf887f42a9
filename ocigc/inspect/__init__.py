"""Explains a layout: what takes the space, what keeps a blob, and what an image consists of."""
