"""An agent in a cluster: registration, the websockets of ACS and telemetry, the end of a spot instance."""
