"""XML-RPC, knowing nothing of covers: the bytes of a request go in, the bytes of an answer come out."""
