"""Where and with what was measured, and the results as a table and as data."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path


def machine():
    """The parts of a machine that matter here."""
    cpu = next((line.split(":")[1].strip() for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "?")
    memory = next((line.split()[1] for line in read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "0")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) * 1024 / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def read(path):
    return Path(path).read_text()


def commit():
    """The commit that is checked out, with a mark if files differ from it."""
    out = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False)
    return out.stdout.strip() or "unknown"


def load():
    """Processes that wanted to run, over the last minute."""
    return round(os.getloadavg()[0], 2)


def table(rows):
    """Markdown: one line a row and tool, with ratios to ours."""
    lines = [
        "| what | tool | wall s | CPU s | peak MB | wall / ours | CPU / ours |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ours = row["tools"].get("mediasync", {}).get("median")
        for at, (tool, result) in enumerate(row["tools"].items()):
            what = row["title"] if at == 0 else ""
            if "failed" in result:
                lines.append(f"| {what} | {tool} | failed | | | | |")
                continue
            own = result["median"]
            ratios = [f"{own[kind] / ours[kind]:.2f}" if ours and ours[kind] else "" for kind in ("wall", "cpu")]
            numbers = f"{own['wall']:.2f} | {own['cpu']:.2f} | {own['rss_mb']:.0f}"
            lines.append(f"| {what} | {tool} | {numbers} | {ratios[0]} | {ratios[1]} |")
    return "\n".join(lines) + "\n"


def write(directory, name, facts, rows):
    """`NAME.json` with everything, `NAME.md` with the table. Returns the table's text."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"date": datetime.date.today().isoformat(), "commit": commit(), "machine": machine(), **facts}
    (directory / f"{name}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    where = facts["machine"]
    head = (
        f"# {name}\n\n`{facts['command']}`, commit {facts['commit']}, {facts['date']}; {where['cpu']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}.\n\n"
    )
    versions = "\n".join(f"- {tool}: {version}" for tool, version in facts.get("versions", {}).items())
    text = f"{head}{table(rows)}\n{versions}\n"
    (directory / f"{name}.md").write_text(text)
    return text
