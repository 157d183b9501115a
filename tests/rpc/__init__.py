"""Tests of app.rpc, which turns bytes into bytes; they open no socket."""
