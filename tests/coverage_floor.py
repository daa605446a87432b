"""Fails when an app's branch coverage is below its floor: one good app must not hide a bad one. Run by `make test`."""

import json
import subprocess
import sys

FLOOR_PERCENT = 90.0
APPS = ("security", "mailboxes", "tracking")


def shares(report: dict[str, dict[str, dict[str, dict[str, int]]]], app: str) -> tuple[float, float]:
    """Return the covered per cent of an app's lines and of its branches, from coverage's JSON report."""
    rows = [row["summary"] for path, row in report["files"].items() if path.replace("\\", "/").startswith(f"{app}/")]

    def share(covered: str, total: str) -> float:
        everything = sum(row[total] for row in rows)
        return 100.0 * sum(row[covered] for row in rows) / everything if everything else 0.0

    return share("covered_lines", "num_statements"), share("covered_branches", "num_branches")


def main() -> int:
    """Combine what the test processes measured, print both figures of each app, and return 1 if one is too low."""
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet"], check=False, capture_output=True)
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    low = []
    print(f"\n{'app':<12}{'lines':>8}{'branches':>10}   (floor {FLOOR_PERCENT:.0f} %)")  # noqa: T201 -- a report
    for app in APPS:
        lines, branches = shares(report, app)
        print(f"{app:<12}{lines:>7.1f}%{branches:>9.1f}%")  # noqa: T201 -- a report
        if min(lines, branches) < FLOOR_PERCENT:
            low.append(app)
    if low:
        print(f"Coverage is below {FLOOR_PERCENT:.0f} % in: {', '.join(low)}")  # noqa: T201 -- a report
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
