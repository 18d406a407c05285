"""The families of models, each declared once."""

from engine.families import sd1, sd2, sdxl
from engine.families.family import Family

FAMILIES: dict[str, Family] = {family.name: family for family in (sd1.FAMILY, sd2.FAMILY, sdxl.FAMILY)}
