"""Tests of XML-RPC: bytes in, bytes out, no socket anywhere."""
