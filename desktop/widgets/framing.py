"""Where a picture lies in its view: how large, and which of its points is in the middle. No Qt."""

from typing import NamedTuple

_LARGEST = 32.0
"""Device pixels a pixel."""


class Framing(NamedTuple):
    """`scale` is view points a picture pixel; (x, y) is the picture's point in the middle of the view."""

    scale: float
    x: float
    y: float

    def top_left(self, view: tuple[float, float]) -> tuple[float, float]:
        """Where the picture's corner lies in the view."""
        return view[0] / 2 - self.x * self.scale, view[1] / 2 - self.y * self.scale

    def moved(self, right: float, down: float) -> "Framing":
        """The picture dragged by view points."""
        return Framing(self.scale, self.x - right / self.scale, self.y - down / self.scale)

    def zoomed(self, factor: float, at: tuple[float, float], view: tuple[float, float]) -> "Framing":
        """Larger or smaller, with the point under `at` kept in its place."""
        left, top = self.top_left(view)
        under = ((at[0] - left) / self.scale, (at[1] - top) / self.scale)
        scale = min(self.scale * factor, _LARGEST)
        x = under[0] + (view[0] / 2 - at[0]) / scale
        y = under[1] + (view[1] / 2 - at[1]) / scale
        return Framing(scale, x, y)

    def kept_inside(self, picture: tuple[float, float], view: tuple[float, float]) -> "Framing":
        """Moved so that no edge of the picture leaves the view further than it must."""
        x = _within(self.x, picture[0], view[0] / self.scale)
        y = _within(self.y, picture[1], view[1] / self.scale)
        return Framing(self.scale, x, y)


def fitting(picture: tuple[float, float], view: tuple[float, float]) -> Framing:
    """The whole picture, as large as the view allows."""
    scale = min(view[0] / picture[0], view[1] / picture[1])
    return Framing(max(scale, 1e-3), picture[0] / 2, picture[1] / 2)


def _within(middle: float, length: float, seen: float) -> float:
    if seen >= length:
        return length / 2
    return min(max(middle, seen / 2), length - seen / 2)
