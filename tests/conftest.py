"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A slow machine, or a busy one, is no failure.
settings.register_profile("ocigc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ocigc")
