"""The decision: from what is in a layout, what is in use and what is asked for, to a plan. It touches no file."""
