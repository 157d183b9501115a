"""Peers: the same lookup on other servers, each as its own documentation would have it written."""
