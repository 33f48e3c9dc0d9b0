"""``ecscope up``: a control plane in this process, and an agent on the local engine in one of its own."""
