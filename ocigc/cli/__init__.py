"""The command line. `main` runs a command, each subcommand has a file, and `output` shows results."""
