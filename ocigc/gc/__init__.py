"""The decision, pure: from what a layout holds, what is used and what is asked for, to a plan. No file is touched."""
