"""The families of models, each declared once."""

from engine.families import flux, sd1, sd2, sd3, sdxl, sdxl_refiner
from engine.families.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (sd1.FAMILY, sd2.FAMILY, sdxl.FAMILY, sdxl_refiner.FAMILY, sd3.FAMILY, flux.FAMILY)
}
