"""Values that everything else speaks in: validated once, where they enter, and immutable after."""
