"""Checks the dashboard and the alerts against each other and against the code.

    python3 check.py

The dashboard must be JSON with panels that do not overlap; each of its queries must parse (promtool reads them as
rules); and every metric that a query or an alert names must stand in deploy/docs/metrics.md, which a test holds equal to
the code. Standard library and promtool.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
DASHBOARD = HERE / "topicd.json"
ALERTS = HERE.parent / "prometheus" / "alerts.yml"


def overlapping(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    yield f"panel {panel['title']!r} overlaps {taken.get((x, y), 'the edge')!r}"
                    return


def queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["expr"]


def unparsable(expressions):
    """promtool's verdict on the queries, with Grafana's variables filled in."""
    rules = []
    for index, expression in enumerate(expressions):
        filled = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        rules.append({"record": f"query:{index}", "expr": filled})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        verdict = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
    if verdict.returncode:
        yield verdict.stderr or verdict.stdout


def unknown_metrics(text):
    page = (ROOT / "deploy/docs/metrics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(topicd_[a-z_]+)`", page, re.MULTILINE))
    for name in sorted(set(re.findall(r"\btopicd_[a-z_]+", text))):
        if not {name, re.sub("_(bucket|sum|count)$", "", name)} & known:
            yield f"{name} is no metric of deploy/docs/metrics.md"


def main():
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = list(queries(dashboard))
    faults = list(overlapping(dashboard["panels"]))
    faults += unparsable(expressions)
    faults += unknown_metrics("\n".join(expressions) + ALERTS.read_text(encoding="utf-8"))
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(dashboard['panels'])} panels and {len(expressions)} queries are good")


main()
