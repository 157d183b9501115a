"""The name and version of this software, as sent to origins and to clients."""

NAME = "covers"
VERSION = "0.1.0"
