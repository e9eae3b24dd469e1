"""`python -m infra.restore ENVIRONMENT --from TABLE [--write]`: what a restored copy has and the stack's table has not.

Without --write it only counts, which is the rehearsal. With it, each missing item is put back on the condition that it
is still missing: what came later is newer and stays. Never deletes and never overwrites.
"""

import argparse
import sys
from typing import Any

from infra import environments
from infra.account import Account, Conflict, Refused

Item = dict[str, Any]


def is_there(account: Account, table: str, item: Item) -> bool:
    key = {name: item[name] for name in ("pk", "sk")}
    only = {"ConsistentRead": True, "ProjectionExpression": "pk"}
    return "Item" in account.call("dynamodb", "get_item", TableName=table, Key=key, **only)


def put_back(account: Account, table: str, item: Item) -> bool:
    """False if it is there by now: then the newer one stays. Raises Refused."""
    try:
        account.call("dynamodb", "put_item", TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
    except Conflict:
        return False
    return True


def restore(account: Account, copy: str, *, write: bool) -> str:
    """One sentence about what was found and done. Raises Refused."""
    (table,) = account.resources("AWS::DynamoDB::Table")
    if copy == table:
        raise Refused(f"{copy} is the stack's own table: name the restored copy")
    found = missing = written = 0
    for item in account.pages("dynamodb", "scan", "Items", TableName=copy, ConsistentRead=True):
        found += 1
        if not is_there(account, table, item):
            missing += 1
            written += write and put_back(account, table, item)
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
