"""The peers: the same lookup on other servers, each written as the documentation of its server recommends."""
