"""The commands: one file each. `register` adds its parser, `run` parses, plans, shows and does."""
