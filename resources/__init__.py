"""Files that ship with the application, and the recipes that make them."""
