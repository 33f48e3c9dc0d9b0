"""Talks to AWS: credentials, signatures, HTTPS calls, the instance metadata service. Holds no rule."""
