"""Values, errors and events that every other package uses. Nothing here does I/O or reads a clock."""
