"""Colour palettes of the cover pictures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """A background colour, `ground`; a text colour that is readable on it, `ink`; and accents, from muted to vivid."""

    ground: str
    ink: str
    accents: tuple[str, str, str, str]


PALETTES = (
    Palette("#1b1b3a", "#f7f0e3", ("#4b2e63", "#a74482", "#f84aa7", "#ff9a76")),  # dusk
    Palette("#f6e7cb", "#2b2d42", ("#30638e", "#00798c", "#edae49", "#d1495b")),  # travel poster
    Palette("#0b2b26", "#f1f7ed", ("#235347", "#8eb69b", "#daf1de", "#f2c14e")),  # forest
    Palette("#03256c", "#f4faff", ("#2541b2", "#1768ac", "#06bee1", "#ffd166")),  # ocean
    Palette("#f2e9e4", "#22223b", ("#c9ada7", "#9a8c98", "#4a4e69", "#e07a5f")),  # clay
    Palette("#264653", "#fff8ea", ("#2a9d8f", "#e9c46a", "#f4a261", "#e76f51")),  # coral
    Palette("#fff1e6", "#3d2c5e", ("#4d96ff", "#6bcb77", "#ffd93d", "#ff6b6b")),  # candy
    Palette("#141414", "#f5f5f5", ("#3a3a3a", "#8d8d8d", "#f1faee", "#e63946")),  # noir
    Palette("#2d1e2f", "#fdf0d5", ("#6d4c7d", "#a9e5bb", "#f7b32b", "#f72c25")),  # plum
    Palette("#e8f6ef", "#1b4332", ("#95d5b2", "#40916c", "#ffb703", "#fb8500")),  # mint
    Palette("#eaf4f4", "#0b3954", ("#a9cfe6", "#087e8b", "#ff5a5f", "#c81d25")),  # ice
    Palette("#4a2511", "#fefae0", ("#7f4f24", "#bc6c25", "#e0a458", "#fefae0")),  # desert
    Palette("#10002b", "#f3e8ff", ("#5a189a", "#9d4edd", "#e0aaff", "#ff9e00")),  # violet
    Palette("#f2b705", "#1f1a17", ("#fff3bf", "#d9480f", "#2f6690", "#1f1a17")),  # mustard
)
