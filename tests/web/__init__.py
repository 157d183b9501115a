"""Tests of the faces over plain HTTP: the covers and the page."""
