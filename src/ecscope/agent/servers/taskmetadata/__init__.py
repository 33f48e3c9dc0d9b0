"""The server for containers on 127.0.0.1:51679, which they reach as 169.254.170.2: the credentials of their roles."""
