"""The parts that screens are built from; they show values and emit intents, and know no engine."""
