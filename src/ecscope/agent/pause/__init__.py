"""The pause program, which holds the namespaces of a task, and its image: made here, as no registry may be needed."""
