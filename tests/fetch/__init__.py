"""How origins are asked, below the page: over real connections, to peers that mean no good."""
