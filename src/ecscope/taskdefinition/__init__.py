"""Task definitions: the members, the rules, and the task that an agent gets from one."""
