"""How long a plan takes for a policy of many accounts and users: `python bench/policy_plan.py [--save]`.

On a cluster of scripts/dev-slurm that it starts and stops, with a real slurmdbd. The policy is applied first, which
takes minutes: a call of sacctmgr for each group of accounts or users with the same settings. Then the plan is measured
with nothing to change, and with a tenth of the users changed.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import ROOT, record

ACCOUNTS, USERS, ROUNDS = 300, 2000, 5
LIMIT = 10.0
TOOL = [sys.executable, str(ROOT / "scripts" / "slurm-policy")]
DEV_SLURM = [sys.executable, str(ROOT / "scripts" / "dev-slurm")]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*DEV_SLURM, "up", "--nodes", "1", "--dir", folder / "slurm"], check=True)
        try:
            record("policy_plan", measure(folder))
        finally:
            subprocess.run([*DEV_SLURM, "down", "--dir", folder / "slurm"], check=True)


def measure(folder: Path) -> dict[str, object]:
    env = os.environ | {"SLURM_CONF": str(folder / "slurm" / "etc" / "slurm.conf")}
    release = subprocess.run(["sacctmgr", "--version"], env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    whole, other = folder / "whole.yaml", folder / "other.yaml"
    whole.write_text(policy(changed=0))
    other.write_text(policy(changed=USERS // 10))
    first, commands = tool(env, "plan", whole, "--commands", "--delete-history", "--strand-jobs")
    applying, _ = tool(env, "apply", whole, "--delete-history", "--strand-jobs")
    exported = folder / "exported.yaml"
    exporting, _ = tool(env, "export", exported)
    _, left = tool(env, "plan", exported)
    assert not left, left
    same = [tool(env, "plan", whole) for _ in range(ROUNDS)]
    assert not any(lines for _, lines in same), same
    different = [tool(env, "plan", other, "--commands") for _ in range(ROUNDS)]
    slowest = max(first, *(seconds for seconds, _ in same + different))
    asking = [listing(env) for _ in range(ROUNDS)]
    return {
        "accounts": ACCOUNTS,
        "users": USERS,
        "associations": sum(len(accounts) for accounts in users().values()) + ACCOUNTS,
        "rounds": ROUNDS,
        "seconds": {
            "plan, all to be added": round(first, 2),
            "plan, nothing to change": [round(seconds, 2) for seconds, _ in same],
            "plan, a tenth of the users to change": [round(seconds, 2) for seconds, _ in different],
            "sacctmgr show associations alone": [round(seconds, 2) for seconds in asking],
            "apply, all": round(applying, 1),
            "export": round(exporting, 2),
        },
        "calls_of_sacctmgr": {"all": len(commands), "a tenth of the users": len(different[0][1])},
        "slowest_plan_over_limit": round(slowest / LIMIT, 3),
        "limit_seconds": LIMIT,
        "slurm": release.strip(),
    }


def tool(env: dict[str, str], verb: str, file: Path, *words: str) -> tuple[float, list[str]]:
    """Seconds of one call, and the lines that it prints."""
    started = time.perf_counter()
    done = subprocess.run([*TOOL, verb, file, *words], env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    print(f"{verb} {file.name}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds, done.stdout.splitlines()


def listing(env: dict[str, str]) -> float:
    """Seconds that sacctmgr takes for the largest of the tables that a plan reads."""
    started = time.perf_counter()
    subprocess.run(["sacctmgr", "-nP", "show", "associations"], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def users() -> dict[str, list[str]]:
    """The accounts of each user: one, two or three, the same in each run."""
    draw = random.Random(7)
    names = [f"team-{number}" for number in range(ACCOUNTS // 10, ACCOUNTS)]
    return {f"user-{number}": draw.sample(names, draw.choice((1, 1, 1, 2, 3))) for number in range(USERS)}


def policy(changed: int) -> str:
    """A tenth of the accounts are departments below root, the rest teams below them; `changed` users have a limit."""
    departments = ACCOUNTS // 10
    lines = ["qos:", "  scavenger: {usage_factor: 0.25}", "  production: {priority: 50, preempts: [scavenger]}"]
    lines += ["accounts:", "  root: {qos: [production, scavenger], default_qos: production}"]
    lines += [f"  team-{number}: {{shares: {1 + number % 5}}}" for number in range(departments)]
    lines += [
        f"  team-{number}: {{parent: team-{number % departments}, gpu_hours: {1000 * (1 + number % 4)}}}"
        for number in range(departments, ACCOUNTS)
    ]
    lines += ["users:"]
    for number, (name, accounts) in enumerate(users().items()):
        limit = "{max_gpus: 4}" if number < changed else "{}"
        lines.append(f"  {name}: {{accounts: {{{', '.join(f'{account}: {limit}' for account in accounts)}}}}}")
    return "\n".join(lines) + "\n"


main()
