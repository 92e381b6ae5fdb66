#!/usr/bin/env python3
"""Makes a .safetensors file of public weights: PyTorch state dicts (.pth, .bin) and PaddleClas or PaddleOCR
parameters (.pdparams), under the names that `kindred-model import` and `kindred-train` read. Needs NumPy and no
framework, and runs no code that a file may hold.

    scripts/convert_weights.py WEIGHTS OUTPUT.safetensors

timm's own .safetensors files need no conversion. Exit codes: 0 done, 1 failed, 2 wrong use.
"""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    from weights.checkpoint import read_checkpoint
    from weights.names import convert
    from weights.safetensors import write_safetensors
    from weights.unpickle import WeightsError
except ModuleNotFoundError as error:
    sys.exit(f"convert_weights.py: {error}; install NumPy (Debian: python3-numpy)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a .pth, .bin or .pdparams file")
    parser.add_argument("output", help="the .safetensors file to write")
    options = parser.parse_args()
    if not options.output.endswith(".safetensors"):
        parser.error(f"the output is '{options.output}'; expected a name that ends in .safetensors")
    try:
        with open(options.weights, "rb") as file:
            data = file.read()
        arrays, source = read_checkpoint(data)
        arrays, metadata = convert(arrays, source)
        write_safetensors(options.output, arrays, {**metadata, "source": os.path.basename(options.weights)})
    except WeightsError as error:
        sys.exit(f"convert_weights.py: {options.weights}: {error}")
    except OSError as error:
        sys.exit(f"convert_weights.py: {error}")
    print(f"wrote {options.output}: {metadata['kindred.arch']}, {len(arrays)} tensors")


if __name__ == "__main__":
    main()
