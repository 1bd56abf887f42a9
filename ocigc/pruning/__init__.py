"""Prunes a layout: makes a plan, carries it out, and restores what is in the trash."""
