"""The Models screen: every file the library knows as a card, and what can be done with it."""
