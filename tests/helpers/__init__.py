"""What tests share: layouts to write, the program as a process, a plain model of the graph."""
