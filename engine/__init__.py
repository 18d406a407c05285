"""Everything that makes pictures; never imports Qt."""
