# What cffi makes of native/ocigc.h has no types; ocigc.native gives it some.
from typing import Any

ffi: Any
lib: Any
