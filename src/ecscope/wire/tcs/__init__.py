"""The telemetry protocol: messages and the session rules of both ends, without I/O."""
