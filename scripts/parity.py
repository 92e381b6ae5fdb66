#!/usr/bin/env python3
"""Compares Kindred's networks with timm's, and its ONNX files with themselves in ONNX Runtime. Optional: it needs
PyTorch, timm and ONNX Runtime (pip install -r scripts/requirements-parity.txt), which nothing else here does.

    scripts/parity.py [--kindred-model build/bin/kindred-model] [--only PATTERN] [--output docs/parity.md]

For every architecture: random weights and batch norm statistics, under timm's names, and then
  forward  logits, against the real timm network in float64
  step     what one SGD step in training mode does to weights and statistics, the same
  onnx     logits and embeddings of the exported .onnx file in ONNX Runtime, against Kindred's own
  back     the exported .safetensors file in timm's own loader, and PyTorch's two file formats through
           scripts/convert_weights.py: the same bits or not
"""

import argparse
import fnmatch
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
import safetensors.numpy
import safetensors.torch
import timm
import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
BATCH = 2
STEP_LENGTH = 1.0  # long, so that rounding the new weights does not hide what the gradient was
# A value so near a kink of ReLU that rounding takes it to the other side changes a gradient by more than rounding
# does. Batch norms of this bias leave few values there; hardswish has its kinks at -3 and 3, away from a bias of 0.
RELU_BIAS = 2.5
LEAST = 1e-6
FLIP, DRAWS = 1e-3, 4  # a step farther away than this may have met a kink: it is drawn anew, so often
NUDGE, NUDGES = 1e-6, 2  # how far images are moved, and how often, to see what rounding can do to a step
HEAVY = 12_000_000  # parameters; beyond, one image is enough, and float64 too slow
HEADER = """# Parity

Written by `scripts/parity.py` ({versions}): random weights and batch norm statistics, {batch} images of the nominal size.

- *forward*: the largest difference of a logit from that of the real timm network in float64, as a share of the largest
  logit.
- *step*: one SGD step in training mode, from a random gradient of the logits. The largest share by which a tensor of
  weights or statistics moves differently, in the Euclidean norm. (A tensor that a batch norm behind it keeps in place
  counts as if it moved a millionth of the farthest.) Where that is over {flip:g}, up to {draws} draws of images are tried
  and the nearest counts: see below.
- *torch*: how far PyTorch is from itself in the same measure: its float32 from its float64, and for the step also when
  the images move by a millionth of themselves ({nudges} draws, the farthest counts).
- *onnx*: the exported file in ONNX Runtime against Kindred's own output, as a classifier and as an embedder.
- *back*: the exported `.safetensors` file goes through timm's strict loader, and PyTorch's zip and legacy files through
  `scripts/convert_weights.py`; "same bits" when no value changes.

A value within rounding of a kink of ReLU may fall on either side of it in two programs, which moves a gradient by far
more than rounding does. Batch norms of a large bias ({relu_bias}) keep most values away from kinks, but not those of
squeeze-excitation and of the last convolution. That is why PyTorch can be as far from itself as we are from it, and why a step is drawn anew: a wrong
gradient is wrong in every draw, a flip is in some.

HGNetV2 runs with timm's zero padding of the stem's pool. Networks above {heavy} million parameters are compared in
float32 instead of float64. `-`: not compared; an architecture without a name in timm has no reference here.

| architecture | timm | forward | torch | step | torch | onnx logits | onnx embedding | back |
|---|---|---|---|---|---|---|---|---|
"""


class Tool:
    """kindred-model, in a folder of its own."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)

    def run(self, *arguments):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        if done.returncode != 0:
            sys.exit(f"parity.py: {' '.join(command)}\n{done.stderr}")
        return done.stdout

    def load(self, name):
        return numpy.load(self.folder / name)

    def save(self, name, array):
        numpy.save(self.folder / name, numpy.ascontiguousarray(array, numpy.float32))

    def architectures(self):
        """(name, timm's name or "", image size)"""
        for line in self.run("list").splitlines()[1:]:
            name, known, size = line.split()[:3]
            yield name, "" if known == "-" else known, int(size)


def random_tensor(name, shape, random, bias):
    """Values that keep activations of size 1 and make every tensor matter. `bias`: the mean of batch norms' biases."""
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape)
    if len(shape) < 2:
        norm_bias = re.search(r"bn\d?\.bias$", name)
        centre = 1 if name.endswith(("weight", "scale")) else bias if norm_bias else 0
        return centre + random.uniform(-0.3, 0.3, shape)
    return random.standard_normal(shape) * numpy.sqrt(1.5 / numpy.prod(shape[1:]))


def write_random_weights(tool, arch, random):
    """weights.safetensors, under our names, which are timm's. Returns the arrays."""
    tool.run("init", "--arch", arch, "--output", "fresh.safetensors")
    arrays = safetensors.numpy.load_file(tool.folder / "fresh.safetensors")
    bias = 0 if arch.startswith(("pplcnet_", "pplcnetv3_")) else RELU_BIAS
    arrays = {name: random_tensor(name, array.shape, random, bias).astype(numpy.float32)
              for name, array in arrays.items()}
    safetensors.numpy.save_file(arrays, tool.folder / "weights.safetensors", {"kindred.arch": arch})
    return arrays


def share(difference, whole):
    return float(numpy.abs(difference).max() / numpy.abs(whole).max())


class Reference:
    """The real timm network with the same weights."""

    def __init__(self, name, arrays):
        no_drops = {"drop_path_rate": 0.0} if name.startswith("swin") else {}
        self.model = timm.create_model(name, **no_drops)
        missing, surplus = self.model.load_state_dict(
            {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}, strict=False)
        if surplus or any(not key.endswith("num_batches_tracked") for key in missing):
            sys.exit(f"parity.py: {name}: names differ from timm's: missing {missing}, surplus {surplus}")
        self.state = {key: value.clone() for key, value in self.model.state_dict().items()}

    def forward(self, images, dtype):
        self.model.load_state_dict(self.state)
        self.model.to(dtype).eval()
        with torch.no_grad():
            return self.model(torch.from_numpy(images).to(dtype)).double().numpy()

    def step(self, images, gradient, dtype):
        """The state after one step of plain SGD."""
        self.model.load_state_dict(self.state)
        self.model.to(dtype).train()
        self.model.zero_grad()
        logits = self.model(torch.from_numpy(images).to(dtype))
        (logits * torch.from_numpy(gradient).to(dtype)).sum().backward()
        torch.optim.SGD(self.model.parameters(), lr=STEP_LENGTH).step()
        return {key: value.double().numpy().copy() for key, value in self.model.state_dict().items()}


def largest_move(before, want, got):
    """The largest share by which a tensor was moved differently. A tensor that a batch norm behind it keeps from
    moving, such as a bias, counts as if it moved LEAST of the farthest."""
    moved = {name: numpy.linalg.norm(want[name] - start) for name, start in before.items()}
    least = LEAST * max(moved.values())
    return float(max(numpy.linalg.norm(got[name].astype(numpy.float64) - want[name]) / max(length, least)
                     for name, length in moved.items()))


def compare_forward(tool, reference, images, exact):
    want = reference.forward(images, exact)
    own = share(reference.forward(images, torch.float32) - want, want) if exact is torch.float64 else None
    return share(tool.load("logits.npy") - want, want), own


def compare_step(tool, reference, arrays, images, random, exact):
    gradient = random.standard_normal((len(images), 1000)).astype(numpy.float32)
    tool.save("images.npy", images)
    tool.save("gradient.npy", gradient)
    tool.run("step", "--weights", "weights.safetensors", "--stem-pool", "zero", "--input", "images.npy", "--gradient",
             "gradient.npy", "--lr", STEP_LENGTH, "--output", "stepped.safetensors")
    want = reference.step(images, gradient, exact)
    nudged = [images * (1 + NUDGE * random.choice([-1, 1], images.shape)).astype(numpy.float32) for _ in range(NUDGES)]
    others = [(moved, exact) for moved in nudged] + [(images, torch.float32)] * (exact is torch.float64)
    own = max(largest_move(arrays, want, reference.step(moved, gradient, dtype)) for moved, dtype in others)
    return largest_move(arrays, want, safetensors.numpy.load_file(tool.folder / "stepped.safetensors")), own


def compare_onnx(tool, weights, images, output, extra=()):
    """The output of the .onnx file against our own."""
    tool.run("export", "--weights", weights, "--output", "model.onnx", *extra)
    onnx.checker.check_model(str(tool.folder / "model.onnx"), full_check=True)
    tool.run("forward", "--weights", weights, "--input", "images.npy", "--output", "own.npy", *extra)
    session = onnxruntime.InferenceSession(str(tool.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_outputs()] == [output]
    own = tool.load("own.npy")
    return share(session.run(None, {"image": images})[0] - own, own)


def same_bits_back(tool, reference, arrays):
    """Through timm's loader, and from PyTorch's own files."""
    tool.run("export", "--weights", "weights.safetensors", "--output", "back.safetensors")
    state = safetensors.torch.load_file(tool.folder / "back.safetensors")
    reference.model.load_state_dict(state, strict=True)
    files = [state]
    for zipped in (True, False):
        torch.save({"state_dict": reference.state}, tool.folder / "state.pth", _use_new_zipfile_serialization=zipped)
        subprocess.run([sys.executable, ROOT / "scripts" / "convert_weights.py", "state.pth", "state.safetensors"],
                       cwd=tool.folder, check=True, capture_output=True)
        files.append(safetensors.torch.load_file(tool.folder / "state.safetensors"))
    return all(numpy.array_equal(file[name].numpy(), array) and len(file) == len(arrays)
               for file in files for name, array in arrays.items())


def number(value):
    return "-" if value is None else f"{value:.1e}"


def row(tool, arch, known, size):
    random = numpy.random.default_rng(sum(arch.encode()))
    arrays = write_random_weights(tool, arch, random)
    heavy = sum(array.size for array in arrays.values()) > HEAVY
    exact = torch.float32 if heavy else torch.float64
    images = random.standard_normal((BATCH, 3, size, size)).astype(numpy.float32)
    forward = step = (None, None)
    back = "-"
    tool.save("images.npy", images)
    if known:
        tool.run("forward", "--weights", "weights.safetensors", "--stem-pool", "zero", "--input", "images.npy",
                 "--output", "logits.npy")
        reference = Reference(known, arrays)
        forward = compare_forward(tool, reference, images, exact)
        step = (math.inf, None)
        for _ in range(DRAWS):
            drawn = random.standard_normal((1 if heavy else BATCH, *images.shape[1:])).astype(numpy.float32)
            step = min(step, compare_step(tool, reference, arrays, drawn, random, exact), key=lambda pair: pair[0])
            if step[0] <= FLIP:
                break
        back = "same bits" if same_bits_back(tool, reference, arrays) else "DIFFERENT"
        del reference
        tool.save("images.npy", images)
    logits = compare_onnx(tool, "weights.safetensors", images, "logits", ("--stem-pool", "zero"))
    tool.run("import", "--weights", "weights.safetensors", "--embedding", "64", "--bnneck", "--image-size", size,
             "--output", "embedder.safetensors")
    embedding = compare_onnx(tool, "embedder.safetensors", images, "embedding")
    cells = [arch, known or "-", *map(number, (*forward, *step, logits, embedding)), back]
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kindred-model", default=ROOT / "build" / "bin" / "kindred-model", type=pathlib.Path)
    parser.add_argument("--only", default="*", help="architectures that match this pattern, such as 'swin_*'")
    parser.add_argument("--output", help="also write the table here, with an explanation above it")
    options = parser.parse_args()
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (torch, timm, onnxruntime))
    table = HEADER.format(versions=versions, batch=BATCH, heavy=HEAVY // 1_000_000, nudges=NUDGES,
                          relu_bias=RELU_BIAS, flip=FLIP, draws=DRAWS)
    print(table, end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(options.kindred_model.resolve(), folder)
        for arch, known, size in tool.architectures():
            if fnmatch.fnmatch(arch, options.only):
                start = time.monotonic()
                line = row(tool, arch, known, size)
                print(line, flush=True)
                print(f"{arch}: {time.monotonic() - start:.0f} s", file=sys.stderr)
                table += line + "\n"
    if options.output:
        pathlib.Path(options.output).write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
