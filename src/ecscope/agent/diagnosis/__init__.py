"""What follows from a state, a history and what is seen of the host: findings and verdicts. Pure."""
