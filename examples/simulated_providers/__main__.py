"""Serve the simulated providers until interrupted, and print their addresses."""

from __future__ import annotations

import argparse
import threading

from .environment import variables
from .server import SimulatedProviders


def main() -> None:
    """Run the server in the foreground."""
    parser = argparse.ArgumentParser(
        prog="python -m simulated_providers",
        description="A simulation of LLM providers on loopback. No model answers here.",
    )
    parser.add_argument("--port", type=int, default=0, help="port; 0 (the default) takes any")
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer"
    )
    options = parser.parse_args()
    with SimulatedProviders(port=options.port, latency_s=options.latency) as providers:
        print("Simulated providers, any API key will do:")
        for name, url in providers.urls.items():
            print(f"  {name:<10} {url}", flush=True)
        print("For clients that are made without arguments:")
        for name, value in variables(providers).items():
            print(f"  export {name}={value}" if value else f"  unset {name}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
