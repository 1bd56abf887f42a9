"""An image layout on disk: what lies in it, read and written safely."""
