"""The command line: `main` assembles it, each subcommand has a file, `output` is how results look."""
