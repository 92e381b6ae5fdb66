#!/usr/bin/env python3
"""Checks the rules of the house that no compiler knows (docs/architecture.md, "Folders"):

- which folder may include which, and where each outside library may be included;
- a plug-in file registers one kind of thing, in the folder of that kind;
- no file over 600 lines, no TODO without an issue number, no path of one machine.

    scripts/check_includes.py [--self-test] [ROOT]

Prints "file:line: reason" for each fault and exits with 1 when there is any.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

COMMON = ["common/base", "common/io", "common/image", "common/engine", "common/ops", "common/models",
          "common/metrics", "common/report", "common/embedder"]

# Longest matching prefix counts. A folder may always include itself.
MAY_INCLUDE = {
    "common/base": [],
    "common/io": ["common/base"],
    "common/image": ["common/base", "common/io"],
    "common/engine": ["common/base", "common/io"],
    "common/ops": ["common/base", "common/engine"],
    "common/models": ["common/base", "common/io", "common/image", "common/engine", "common/ops"],
    "common/metrics": ["common/base", "common/engine"],
    "common/report": ["common/base"],
    "common/embedder": COMMON,
    "trainer/data": ["common/base", "common/io", "common/image"],
    "trainer/dist": ["common/base", "common/engine"],
    "trainer/miners": ["common/base", "common/engine"],
    "trainer/losses": ["common/base", "common/engine", "trainer/miners"],
    "trainer/optim": ["common/base", "common/engine"],
    "trainer/train": COMMON + ["trainer/data", "trainer/dist", "trainer/miners", "trainer/losses", "trainer/optim"],
    "trainer": COMMON + ["trainer"],
    "index/types": ["common/base", "common/engine", "index/vector_index", "index/exact_search"],
    "index": COMMON + ["index"],
    "serve": COMMON + ["index"],
    "scripts": COMMON,
    "tests": ["common", "trainer", "index", "serve", "scripts"],
}

# Outside library: where its headers may be named.
VENDORS = {
    r"(dnnl|oneapi/dnnl)": r"common/engine/cpu/|.*_cpu\.(h|cc)$",
    r"(cuda|cudnn|cublas|curand)": r"common/engine/cuda/|common/engine/launch\.h$|.*_cuda\.(h|cc)$",
    r"cblas": r"common/engine/cpu/|.*_cpu\.(h|cc)$",
    r"mpi\.h": r"trainer/dist/mpi\.cc$|index/ranks\.cc$|tests/",
    r"nccl": r"trainer/dist/nccl\.cc$",
    r"faiss/": r"index/",
    r"sqlite3\.h": r"index/gallery\w*\.(h|cc)$|tests/index/",
    r"boost/program_options": r"common/base/options\.cc$",
    r"boost/(asio|beast)": r"serve/(http\w*|client\w*)\.(h|cc)$|tests/serve/",
    r"nlohmann/": r"common/base/json\.h$",
    r"openssl/": r"common/base/hash\.cc$",
    r"(jpeglib|jerror|turbojpeg|png|webp/)": r"common/image/",
    r"(ft2build|freetype)": r"scripts/make_demo_data/",
    r"omp\.h": r"common/base/parallel\.cc$",
}

# Registration macro: the folder of its kind.
PLUGINS = {
    "KINDRED_LOSS": "trainer/losses/",
    "KINDRED_MINER": "trainer/miners/",
    "KINDRED_OPTIMIZER": "trainer/optim/",
    "KINDRED_TRANSFORM": "trainer/data/",
    "KINDRED_MODEL": "common/models/",
    "KINDRED_KERNEL": "common/ops/",
    "KINDRED_INDEX": "index/types/",
}

MAX_LINES = 600
SOURCE = (".h", ".cc", ".cu")
TEXT = SOURCE + (".py", ".sh", ".txt", ".cmake", ".md", ".conf", ".html", ".css", ".js", ".sbatch")


def longest_prefix(path, prefixes):
    """The most special folder (or file stem) of `prefixes` that `path` lies in, or None."""
    inside = [p for p in prefixes if path.startswith(p + "/") or path.startswith(p + ".")]
    return max(inside, key=len, default=None)


def check_include(path, header, quoted):
    if not quoted:
        for pattern, allowed in VENDORS.items():
            if re.match(pattern, header) and not re.match(allowed, path):
                return f"<{header}> may be included only in {allowed}"
        return None
    home, target = longest_prefix(path, MAY_INCLUDE), longest_prefix(header, MAY_INCLUDE)
    if home is None:
        return None
    if target is None:
        return f'"{header}" is not named from the root of the repository, or lies in no known folder'
    allowed = MAY_INCLUDE[home] + [home]
    if not any(header.startswith(a + "/") or header.startswith(a + ".") for a in allowed):
        return f'{home} may not include "{header}"'
    return None


def check_source(path, lines):
    if path.endswith(".h"):
        if not lines or not lines[0].startswith("//"):
            yield 1, "a header opens with a comment that says what it is for"
        if not any(line.startswith("#pragma once") for line in lines):
            yield 1, "#pragma once is missing"
    registered = set()
    for number, line in enumerate(lines, 1):
        include = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if include:
            fault = check_include(path, include[2], include[1] == '"')
            if fault:
                yield number, fault
        macro = re.match(r"(KINDRED_[A-Z]+)\(", line)
        if macro and macro[1] in PLUGINS and not path.startswith("tests/"):
            registered.add(macro[1])
            if not path.startswith(PLUGINS[macro[1]]):
                yield number, f"{macro[1]} belongs in {PLUGINS[macro[1]]}"
            if len(registered) > 1:
                yield number, "a file registers one kind of thing, found " + " and ".join(sorted(registered))


def check_text(path, lines):
    if len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines, expected at most {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line):
            yield number, "a TODO needs the number of an issue: TODO(#12)"
        if re.search(r"(?<![\w.$}])/(work|home|root|Users)/\w", line):
            yield number, "a path of one machine"


def check_tree(root, paths):
    """Yields "path:line: reason" for the files `paths`, which are relative to `root`."""
    for path in sorted(paths):
        if not path.endswith(TEXT) or path == "scripts/check_includes.py":
            continue
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        faults = list(check_text(path, lines))
        if path.endswith(SOURCE):
            faults += check_source(path, lines)
        for number, reason in sorted(faults):
            yield f"{path}:{number}: {reason}"


def files_of(root):
    """What git knows or would add; all files where there is no repository."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [path for path in listed if (root / path).is_file()]
    except (OSError, subprocess.CalledProcessError):
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


SELF_TEST = {  # file: (content, the fault that must be found, or None)
    "common/base/good.h": ('// Good.\n#pragma once\n#include <vector>\n#include "common/base/error.h"\n', None),
    "common/ops/good.cc": ('#include "common/engine/op.h"\nKINDRED_KERNEL(a)\nKINDRED_KERNEL(b)\n', None),
    "serve/good.cc": ('#include "common/embedder.h"\n#include "index/gallery.h"\n', None),
    "tests/good_test.cc": ('#include "tests/support/x.h"\n#include "trainer/losses/loss.h"\n', None),
    "scripts/good.sh": ("cd \"$root/work/x\"  # TODO(#7): shorter\n", None),
    "common/base/up.cc": ('#include "common/io/file.h"\n', "may not include"),
    "serve/trains.cc": ('#include "trainer/losses/loss.h"\n', "may not include"),
    "trainer/losses/sideways.cc": ('#include "trainer/train/trainer.h"\n', "may not include"),
    "common/io/relative.cc": ('#include "file.h"\n', "not named from the root"),
    "common/ops/vendor.cc": ("#include <dnnl.hpp>\n", "may be included only"),
    "serve/database.cc": ("#include <sqlite3.h>\n", "may be included only"),
    "common/base/bare.h": ("#pragma once\n", "opens with a comment"),
    "common/base/twice.h": ("// Twice.\nint x;\n", "#pragma once is missing"),
    "trainer/optim/two.cc": ("KINDRED_OPTIMIZER(a)\nKINDRED_LOSS(b)\n", "registers one kind"),
    "common/models/lost.cc": ("KINDRED_LOSS(a)\n", "belongs in trainer/losses/"),
    "common/io/long.cc": ("\n" * 601, "601 lines"),
    "common/io/later.cc": ("// TODO: later\n", "number of an issue"),
    "scripts/here.sh": ("cd /home/me/kindred\n", "path of one machine"),
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, (content, _) in SELF_TEST.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
        found = list(check_tree(root, SELF_TEST))
    wrong = []
    for path, (_, expected) in SELF_TEST.items():
        reasons = [fault for fault in found if fault.startswith(path + ":")]
        if (expected is None and reasons) or (expected and not any(expected in reason for reason in reasons)):
            wrong.append(f"{path}: expected {expected!r}, found {reasons}")
    for line in wrong:
        print(line)
    print(f"self-test: {len(SELF_TEST) - len(wrong)} of {len(SELF_TEST)} as expected")
    return 1 if wrong else 0


def main():
    arguments = sys.argv[1:]
    if "--self-test" in arguments:
        return self_test()
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    faults = list(check_tree(root, files_of(root)))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
