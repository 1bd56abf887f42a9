"""Explains a layout: what takes the space, what holds a blob, what an image is made of."""
