"""The ECS API as clients speak it: each module holds the actions of one group, as functions of a step."""
