"""`python -m infra.restore ENVIRONMENT --from TABLE [--write]`: what a restored copy has and the stack's table has not.

Without --write it only counts, which is the rehearsal. With it, each missing item is put back on the condition that it
is still missing: what came later is newer and stays. Never deletes and never overwrites.
"""

import argparse
import sys
from contextlib import suppress

from infra import environments
from infra.account import Account, Conflict, Refused


def restore(account: Account, copy: str, *, write: bool) -> str:
    """One sentence about what was found and done. Raises Refused."""
    (table,) = account.resources("AWS::DynamoDB::Table")
    if copy == table:
        raise Refused(f"{copy} is the stack's own table: name the restored copy")
    found = missing = written = 0
    for item in account.pages("dynamodb", "scan", "Items", TableName=copy, ConsistentRead=True):
        found += 1
        where = {"TableName": table, "Key": {name: item[name] for name in ("pk", "sk")}, "ConsistentRead": True}
        if "Item" in account.call("dynamodb", "get_item", **where, ProjectionExpression="pk"):
            continue
        missing += 1
        if write:
            with suppress(Conflict):  # made meanwhile: the newer one stays
                absent = "attribute_not_exists(pk)"
                account.call("dynamodb", "put_item", TableName=table, Item=item, ConditionExpression=absent)
                written += 1
    done = f"{written} written" if write else "none written (--write does it)"
    return f"{found} items in {copy}, {missing} of them missing in {table}, {done}"


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(prog="python -m infra.restore", description=(__doc__ or "").split("\n\n")[1])
    known.add_argument("environment", choices=environments.ENVIRONMENTS)
    known.add_argument("--from", dest="copy", required=True, metavar="TABLE", help="the restored copy")
    known.add_argument("--write", action="store_true", help="put back what is missing")
    return known


def main(arguments: list[str]) -> int:
    chosen = parser().parse_args(arguments)
    try:
        print(restore(Account(environments.named(chosen.environment)), chosen.copy, write=chosen.write))
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
