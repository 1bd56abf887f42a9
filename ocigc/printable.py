"""Text from outside, made fit for a terminal or a log."""


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could take for more than a character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
