#!/usr/bin/env python3
"""Measures every network with `kindred-model bench` and writes the table of docs/performance.md.

    scripts/bench/models.py [--output docs/performance.md] [--only swin,pplcnet_x1_0]

A cell is images a second and, behind it, that rate of floating-point operations as a share of an fp32 matrix product of
1536 x 1536 that the same process measures in turn with the network: on a shared machine only the share can be compared.
Networks of over --heavy GMACs run at batch 1 only.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = [(mode, batch, precision) for mode in ("infer", "train") for batch in (1, 16) for precision in ("fp32", "bf16")]


def environment():
    """Ours, without the variables that make OpenBLAS take another core's kernels."""
    return {key: value for key, value in os.environ.items() if key not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def tool(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, env=environment()).stdout


def measure(program, network, batch, precision, seconds):
    """{mode: (images/s, share, arena)} of one network."""
    out = tool(program, "bench", network, "--batch", str(batch), "--precision", precision, "--seconds", str(seconds))
    found = {}
    for line in out.splitlines()[1:]:
        words = line.split()
        found[words[1]] = (float(words[5]), float(words[8]), " ".join(words[10:]))
    return found


def rate(images_per_s):
    return f"{images_per_s:.0f}" if images_per_s >= 100 else f"{images_per_s:.1f}"


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def document(rows, arguments):
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    head = ["network", "size", *(f"{mode} {batch} {precision}" for mode, batch, precision in COLUMNS), "arena 16 fp32",
            "arena 16 bf16"]
    lines = ["# Performance", "",
             f"Written by `scripts/bench/models.py` on {time.strftime('%Y-%m-%d')}: {cpu_name()}, {threads} threads, shared "
             "with others, so only the shares mean something.", "",
             "A cell is images a second, and the network's floating-point operations a second as a share of an fp32 matrix "
             "product of 1536 x 1536 measured in turn with it in the same process (a share above 100 % in bf16 is what the "
             "processor's bf16 products are for). *train*: forward and backward, counted as three forwards. The number is the "
             "batch. *arena*: all memory of a training step but the parameters, at batch 16.", "",
             f"Networks of over {arguments.heavy:g} GMACs ran at batch 1 only.", "",
             "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/bin/kindred-model"), help="default: %(default)s")
    parser.add_argument("--output", type=pathlib.Path, help="a file for the document; default: standard output")
    parser.add_argument("--only", default="", help="comma-separated beginnings of networks' names")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each measurement (default: %(default)s)")
    parser.add_argument("--heavy", type=float, default=12, help="GMACs (default: %(default)s)")
    arguments = parser.parse_args()

    wanted = [name for name in arguments.only.split(",") if name]
    names = [line.split()[0] for line in tool(arguments.program, "list").splitlines()[1:] if line.strip()]
    names = [name for name in names if not wanted or any(name.startswith(one) for one in wanted)]
    rows, begin = [], time.time()
    for i, name in enumerate(names):
        left = (time.time() - begin) / i * (len(names) - i) if i else 0
        print(f"{i + 1}/{len(names)}: {name}" + (f"; {left:.0f} s left" if i else ""), file=sys.stderr)
        info = json.loads(tool(arguments.program, "info", name, "--json"))
        heavy = info["macs"] > arguments.heavy * 1e9
        found = {(batch, precision): measure(arguments.program, name, batch, precision, arguments.seconds)
                 for batch in ((1,) if heavy else (1, 16)) for precision in ("fp32", "bf16")}
        cells = [name, str(info["config"]["image"]["height"])]
        for mode, batch, precision in COLUMNS:
            one = found.get((batch, precision))
            cells.append(f"{rate(one[mode][0])} ({one[mode][1]:.0f} %)" if one else "-")
        for precision in ("fp32", "bf16"):
            one = found.get((16, precision))
            cells.append(one["train"][2] if one else "-")
        rows.append(cells)
    text = document(rows, arguments)
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
