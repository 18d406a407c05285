"""The Create screen: words and settings on the left, the picture, what was made before."""
