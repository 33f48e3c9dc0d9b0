"""Resources of a task outside its containers, one module per kind."""
