"""An image layout on disk: what is in it, read and written safely."""
