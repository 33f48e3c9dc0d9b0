"""``ecscope metadata``: cluster, container instance and version of an agent.

Source: introspection-api.md §5.
"""

from __future__ import annotations

import argparse
import sys

import msgspec

from ecscope.cli.client import AgentProblem, BadEndpoint, client_for
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_USAGE
from ecscope.cli.table import NO_VALUE, harmless


def run(args: argparse.Namespace) -> int:
    """``args``: ``json``, ``endpoint``."""
    try:
        metadata, body = client_for(args.endpoint).metadata()
    except BadEndpoint as error:
        print(f"ecscope metadata: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AgentProblem as problem:
        print(f"ecscope metadata: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED
    if args.json:
        print(msgspec.json.format(body, indent=2).decode())
    else:
        print(f"Cluster             {harmless(metadata.cluster) or NO_VALUE}")
        print(f"Container instance  {harmless(metadata.container_instance_arn or NO_VALUE)}")
        print(f"Version             {harmless(metadata.version) or NO_VALUE}")
    return EXIT_FINE
