"""Manners towards origins: places, the gate, what is known of hosts, robots.txt."""
