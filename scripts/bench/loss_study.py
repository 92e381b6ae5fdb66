#!/usr/bin/env python3
"""Trains the demo's network with each loss and miner for the same number of epochs and compares what it learnt.

    scripts/demo.sh                        # once: builds, and draws the data
    scripts/bench/loss_study.py [--epochs 6] [--seeds 3] [--only triplet,supcon]

Every setting runs with every seed. A finished run is a line of --results (JSON); a second call runs only what is
missing. Prints a Markdown table sorted by Recall@1: the mean over the seeds and, after the sign, half of the range.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Setting: the options that make it, on top of configs/demo.conf (which sets arcface.scale and arcface.margin). Softmax
# losses have the demo's scale of 16, since the published 64 is meant for many thousands of classes; what is not named
# is the default.
SETTINGS = {
    "arcface": ["train.losses=arcface"],
    "arcface, straight-through": ["train.losses=arcface", "arcface.gradient=straight_through"],
    "arcface, 3 sub-centres": ["train.losses=arcface", "arcface.sub_centres=3"],
    "arcface, sharded, half sampled": ["train.losses=arcface", "arcface.sharded=true", "arcface.sample_rate=0.5"],
    "cosface": ["train.losses=cosface", "cosface.scale=16", "cosface.margin=0.1"],
    "combined_margin": ["train.losses=combined_margin", "combined_margin.scale=16", "combined_margin.m2=0.1",
                        "combined_margin.m3=0.05"],
    "adaface": ["train.losses=adaface", "adaface.scale=16", "adaface.margin=0.1"],
    "circle_class": ["train.losses=circle_class", "circle_class.scale=16"],
    "softmax": ["train.losses=softmax"],
    "softmax + center": ["train.losses=softmax center*0.1"],
    "proxy_nca": ["train.losses=proxy_nca"],
    "proxy_anchor": ["train.losses=proxy_anchor"],
    "soft_triple": ["train.losses=soft_triple", "soft_triple.centres=3"],
    "triplet_angular": ["train.losses=triplet_angular"],
    "triplet_angular, absolute terms": ["train.losses=triplet_angular", "triplet_angular.add_absolute=true",
                                        "triplet_angular.absolute_weight=0.1"],
    "arcface + triplet_angular (the demo)": ["train.losses=arcface triplet_angular*0.5"],
    "arcface + triplet_angular + koleo": ["train.losses=arcface triplet_angular*0.5 koleo*0.1"],
    "triplet, batch_hard": ["train.losses=triplet", "triplet.miner=batch_hard"],
    "triplet, batch_hard, soft": ["train.losses=triplet", "triplet.miner=batch_hard", "triplet.soft=true"],
    "triplet, semi_hard": ["train.losses=triplet", "triplet.miner=semi_hard"],
    "triplet, easy_positive": ["train.losses=triplet", "triplet.miner=easy_positive"],
    "triplet, distance_weighted": ["train.losses=triplet", "triplet.miner=distance_weighted"],
    "triplet, soft_weighted": ["train.losses=triplet", "triplet.miner=soft_weighted"],
    "triplet, multi_similarity": ["train.losses=triplet", "triplet.miner=multi_similarity"],
    "triplet, all": ["train.losses=triplet", "triplet.miner=all"],
    "contrastive": ["train.losses=contrastive"],
    "contrastive + memory bank": ["train.losses=contrastive", "bank.size=2048", "bank.start=112"],
    "margin, learned boundary": ["train.losses=margin", "margin.learn_beta=shared"],
    "margin_ranking": ["train.losses=margin_ranking", "margin_ranking.margin=0.3"],
    "n_pairs": ["train.losses=n_pairs"],
    "nt_xent": ["train.losses=nt_xent"],
    "supcon": ["train.losses=supcon"],
    "multi_similarity": ["train.losses=multi_similarity"],
    "circle": ["train.losses=circle"],
}
METRICS = [("Recall@1", "recall_at_1"), ("MAP@R", "map_at_r"), ("TPR at FPR 1 %", "tpr_at_fpr_0.01")]


def run(arguments, setting, options, seed, folder):
    """Trains once; the validation metrics after the last step, and the seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [arguments.train, "--config", "configs/demo.conf", "--train.run", str(folder), "--train.seed", str(seed),
               "--train.epochs", str(arguments.epochs), "--train.evaluate_every", str(arguments.epochs)]
    for option in arguments.option + options:
        key, value = option.split("=", 1)
        command += ["--" + key] + (value.split() if key == "train.losses" else [value])
    begin = time.time()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"loss_study.py: '{setting}', seed {seed}: exit {done.returncode}\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "recall_at_1" in line][-1]
    return {"setting": setting, "seed": seed, "epochs": arguments.epochs, "options": arguments.option + options,
            "seconds": time.time() - begin, **{key: last[key] for _, key in METRICS}}


def table(results):
    """The Markdown table of the results, best Recall@1 first."""
    rows = []
    for setting in dict.fromkeys(result["setting"] for result in results):
        own = [result for result in results if result["setting"] == setting]
        cells = []
        for _, key in METRICS:
            values = [100 * result[key] for result in own]
            cells.append(f"{sum(values) / len(values):.1f} ± {(max(values) - min(values)) / 2:.1f}")
        rows.append((sum(result["recall_at_1"] for result in own), [setting, *cells]))
    rows = [row for _, row in sorted(rows, key=lambda row: -row[0])]
    head = ["loss, miner", *(f"{name}, %" for name, _ in METRICS)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", default=str(ROOT / "build/bin/kindred-train"), help="the program (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="of every run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every setting (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--only", default="", help="comma-separated beginnings of settings' names")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE for every run, such as model.image_size=32")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "demo/loss_study.jsonl", help="default: %(default)s")
    arguments = parser.parse_args()
    if not (ROOT / "demo/data/train.tsv").is_file():
        sys.exit("loss_study.py: demo/data is missing; run scripts/demo.sh once")

    wanted = [name for name in arguments.only.split(",") if name]
    results = []
    if arguments.results.is_file():
        results = [json.loads(line) for line in arguments.results.read_text().splitlines()]
    runs = [(setting, options, seed) for setting, options in SETTINGS.items()
            if not wanted or any(setting.startswith(name) for name in wanted)
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)]
    shown = {setting for setting, _, _ in runs}

    def same(result, setting, options, seed):
        return (result["setting"], result["seed"], result["epochs"], result["options"]) == (
            setting, seed, arguments.epochs, arguments.option + options)

    missing = [one for one in runs if not any(same(result, *one) for result in results)]
    begin = time.time()
    for i, (setting, options, seed) in enumerate(missing):
        left = (time.time() - begin) / i * (len(missing) - i) if i else 0
        print(f"{i + 1}/{len(missing)}: {setting}, seed {seed}" + (f"; {left:.0f} s left" if i else ""), file=sys.stderr)
        results.append(run(arguments, setting, options, seed, ROOT / "demo/study"))
        with arguments.results.open("a") as file:
            file.write(json.dumps(results[-1]) + "\n")
    print(table([result for result in results
                 if result["setting"] in shown and any(same(result, *one) for one in runs)]))


if __name__ == "__main__":
    main()
