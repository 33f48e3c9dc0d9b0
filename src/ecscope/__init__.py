"""ecscope: an Amazon ECS container agent that you can see into."""

__version__ = "0.1.0"
