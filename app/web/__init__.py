"""HTTP endpoints: XML-RPC, covers, the web page, health checks and metrics."""
