"""Prune, verify and understand OCI image layouts.

The commands use what is exported here. `docs/api.md` shows how to use it, and `__init__.pyi` has names and types.

>>> import pathlib, tempfile
>>> import ocigc, ocigc.synth
>>> mirror = pathlib.Path(tempfile.mkdtemp()) / "mirror"
>>> written = ocigc.synth.write(mirror, ocigc.synth.Spec(images=5))
>>> with ocigc.Layout(mirror) as layout:
...     print(ocigc.verify(layout).sound, len(list(ocigc.images(layout))) > 0)
True True
"""

_homes: dict[str, str] = {}


def _read_stub() -> dict[str, str]:
    """The exported names, each with its module. The stub is the only list of them."""
    if not _homes:
        import ast
        from importlib.resources import files

        stub = ast.parse(files(__name__).joinpath("__init__.pyi").read_text("utf-8"))
        imports = (node for node in stub.body if isinstance(node, ast.ImportFrom))
        _homes.update({alias.name: str(node.module) for node in imports for alias in node.names})
    return _homes


def __getattr__(name: str) -> object:
    # Loading everything takes longer than most commands do.
    if name == "__all__":
        return sorted(_read_stub())
    if name == "__version__":
        from ocigc._version import __version__

        return __version__
    if name.startswith("_") or name not in _read_stub():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_homes[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_read_stub()})
