"""The families of models, each declared once."""

from engine.families import sd1
from engine.families.family import Family

FAMILIES: dict[str, Family] = {family.name: family for family in (sd1.FAMILY,)}
