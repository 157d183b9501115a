"""The values, errors and events that every other package uses. Pure: no I/O, no clock."""
