"""The decision: makes a plan from what is in a layout, what is in use and what is asked for. It touches no file."""
