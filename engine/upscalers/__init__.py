"""The networks that enlarge pictures, one family a module."""
