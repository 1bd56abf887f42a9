"""A layout on disk: reading it, and carrying out a plan."""
