"""XML-RPC without transport: request bytes in, response bytes out. It does not depend on the rest of the service."""
