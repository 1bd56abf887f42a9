"""Markdown pages as manual pages of section 5: headings, paragraphs, lists, tables and code, as `docs/` uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode


def page(markdown: str, name: str, date: str) -> str:
    """The roff source of a page; the document's first heading says what it is about."""
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(markdown))
    title, *blocks = tree.children
    lines = [
        f'.TH {escaped(name.upper())} 5 "{date}" "ocigc" "File Formats"',
        ".SH NAME",
        f"{escaped(name)} \\- {_inline(title.children[0]).lower()}",
        ".SH DESCRIPTION",
        *(line for block in blocks for line in _block(block)),
        ".SH SEE ALSO",
        ".BR ocigc (1)",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _block(node: SyntaxTreeNode) -> Iterator[str]:
    match node.type:
        case "heading":
            yield f'.{"SH" if node.tag == "h2" else "SS"} "{_inline(node.children[0]).upper()}"'
        case "paragraph":
            yield ".PP"
            yield _inline(node.children[0])
        case "fence" | "code_block":
            yield from (".PP", ".RS", ".nf", escaped(node.content.rstrip("\n")), ".fi", ".RE")
        case "bullet_list" | "ordered_list":
            for number, item in enumerate(node.children, start=1):
                mark = "\\(bu" if node.type == "bullet_list" else f"{number}."
                first, *rest = item.children
                yield f".IP {mark} 3"
                yield _inline(first.children[0])
                for block in rest:
                    yield from (".RS", *_block(block), ".RE")
        case "table":
            yield from _table(node)
        case kind:
            raise ValueError(f"no form in roff for {kind}")


def _table(node: SyntaxTreeNode) -> Iterator[str]:
    """A row is a tagged paragraph: the first cell, then the others under it."""
    for row in node.children[-1].children:
        first, *cells = (_inline(cell.children[0]) if cell.children else "" for cell in row.children)
        yield ".TP"
        yield first or "\\&"
        yield "\n.br\n".join(cell for cell in cells if cell) or "\\&"


def _inline(node: SyntaxTreeNode) -> str:
    return "".join(_span(child) for child in node.children)


def _span(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text":
            return escaped(node.content)
        case "code_inline":
            return f"\\fB{escaped(node.content)}\\fR"
        case "strong":
            return f"\\fB{_inline(node)}\\fR"
        case "em":
            return f"\\fI{_inline(node)}\\fR"
        case "softbreak" | "hardbreak":
            return "\n"
        case "link":
            return _inline(node)
        case kind:
            raise ValueError(f"no form in roff for {kind}")
