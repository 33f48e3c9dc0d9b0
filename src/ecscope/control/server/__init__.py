"""The front of the ECS API: HTTP, signatures, rights and the model's checks before the core is asked."""
