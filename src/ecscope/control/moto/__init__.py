"""moto, which answers for the AWS services that ecscope does not have: a process of its own, and its journal."""
