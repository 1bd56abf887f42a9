"""Prunes a layout: plans, carries the plan out, and brings back what is in the trash."""
