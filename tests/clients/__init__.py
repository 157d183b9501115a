"""Scripts for XML-RPC clients in several languages. Each makes the same calls and prints each result as JSON."""
