"""Tests of app.rpc, which turns bytes into bytes. The tests open no sockets."""
