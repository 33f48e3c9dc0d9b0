"""The socket of the agent communication service: dials, feeds ``wire.acs_session``, dials again. Holds no rule."""
