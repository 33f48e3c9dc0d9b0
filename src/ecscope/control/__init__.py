"""The control plane: Amazon ECS on one machine, for users' clients on one side and for agents on the other.

Pure rules in ``core``, the API's actions in ``api``, sockets to agents in ``acs`` and ``tcs``, durable records in
``store``, one writer between them. It does not import the agent's code: they meet on the wire only.
"""
