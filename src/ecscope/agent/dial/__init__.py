"""What the connections to AWS have in common: a websocket's life, its dial and close, the words for no connection."""
