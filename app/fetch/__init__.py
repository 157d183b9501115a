"""The world outside: pages are asked for here, with manners and within limits, and nowhere else."""
