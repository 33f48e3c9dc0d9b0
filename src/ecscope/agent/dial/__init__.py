"""What the connections to AWS have in common: dialling a websocket and closing it in time."""
