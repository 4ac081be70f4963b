"""Rates, times, sizes and energies in words; a dash where nothing was measured."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "–"


def rate(value: float | None) -> str:
    """Things a second, with three digits."""
    return NOTHING if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def hours(value: float | None) -> str:
    """A number of hours: two decimals, more where that would be none."""
    if value is None:
        return NOTHING
    return "0" if value == 0 else f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """``47 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(number: float | None) -> str:
    """Bytes as MB or GB (powers of ten)."""
    if number is None:
        return NOTHING
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def energy(joules: float | None) -> str:
    """Joules as Wh or kWh."""
    if joules is None:
        return NOTHING
    wh = joules / 3600
    return f"{wh / 1000:.2f} kWh" if wh >= 1000 else f"{wh:.3g} Wh"


def clock(seconds: float) -> str:
    """Seconds since 1970 as date and time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
