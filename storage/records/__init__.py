"""Pure records that the packages hand to each other. They need neither torch nor SQL."""
