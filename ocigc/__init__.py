"""Prune, verify and understand OCI image layouts."""
