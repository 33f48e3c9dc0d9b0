"""Every rule of the control plane, and no effect: no socket, clock, chance, log or disk."""
