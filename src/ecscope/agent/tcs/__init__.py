"""The socket of the telemetry service: dials, feeds ``wire.tcs_session``, dials again. Holds no rule."""
