"""What the connections to AWS have in common: a websocket's dial and close, the words for no connection."""
