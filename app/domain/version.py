"""The software's name and version, as origins and callers are told."""

NAME = "covers"
VERSION = "0.1.0"
