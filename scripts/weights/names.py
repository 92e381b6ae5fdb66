"""From the names of PaddleClas, PaddleOCR and Microsoft's Swin to those that Kindred and timm use, and from the
names to the architecture."""

import re

import numpy

from weights.unpickle import WeightsError

DROPOUT_KEEP = 0.8  # what PaddleClas's eval mode multiplies the features of some families with

# Regular expressions, applied in order to every name.
BATCH_NORM = [(r"\._mean$", ".running_mean"), (r"\._variance$", ".running_var")]
PPLCNET = [
    (r"^conv1\.conv\.", "conv_stem."), (r"^conv1\.bn\.", "bn1."),
    (r"^blocks2\.", "blocks.0."), (r"^blocks3\.", "blocks.1."), (r"^blocks4\.", "blocks.2."),
    (r"^blocks5\.([01])\.", r"blocks.3.\1."),
    (r"^blocks5\.([2-5])\.", lambda match: f"blocks.4.{int(match[1]) - 2}."), (r"^blocks6\.", "blocks.5."),
    (r"\.dw_conv\.conv\.", ".conv_dw."), (r"\.dw_conv\.bn\.", ".bn1."),
    (r"\.pw_conv\.conv\.", ".conv_pw."), (r"\.pw_conv\.bn\.", ".bn2."),
    (r"\.se\.conv1\.", ".se.conv_reduce."), (r"\.se\.conv2\.", ".se.conv_expand."),
    (r"^last_conv\.", "conv_head."), (r"^fc\.", "classifier."),
]
PPLCNETV2 = [
    (r"\.se\.conv([12])\.", r".se.fc\1."), (r"\.pw_conv_1\.", ".pw_conv.0."), (r"\.pw_conv_2\.", ".pw_conv.1."),
    (r"^last_conv\.", "conv_head."), (r"^fc\.", "classifier."),
]
PPHGNET = [
    (r"^stem\.([012])\.", r"stem.stem.\1."), (r"\.aggregation_conv\.", ".aggregation.0."),
    (r"\.att\.conv\.", ".aggregation.1.conv."), (r"^last_conv\.", "head.last_conv.0."), (r"^fc\.", "head.fc."),
]
PPHGNETV2 = [
    (r"\.aggregation_squeeze_conv\.", ".aggregation.0."), (r"\.aggregation_excitation_conv\.", ".aggregation.1."),
    (r"^last_conv\.", "head.last_conv.0."), (r"^lab\.", "head.last_conv.2."), (r"^fc\.", "head.fc."),
]
SWIN = [
    (r"^layers\.(\d)\.downsample\.", lambda match: f"layers.{int(match[1]) + 1}.downsample."),
    (r"^head\.(weight|bias)$", r"head.fc.\1"),
]

# A name that tells a family's foreign files from all others, and what becomes of its names.
FOREIGN = [
    ("blocks2.0.dw_conv.conv_kxk.0.conv.weight", []),  # PP-LCNetV3 keeps PaddleOCR's names
    ("blocks2.0.dw_conv.conv.weight", PPLCNET),
    ("stages.2.0.pw_conv_1.conv.weight", PPLCNETV2),
    ("stages.0.blocks.0.aggregation_conv.conv.weight", PPHGNET),
    ("stages.0.blocks.0.aggregation_squeeze_conv.conv.weight", PPHGNETV2),
    ("layers.0.downsample.reduction.weight", SWIN),
]

# No part of any network here: counters, tables that are computed, the detection heads of PP-LCNetV3.
LEFT_OUT = re.compile(r"num_batches_tracked$|relative_position_index$|attn_mask$|^layer_list\.")


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def strip(arrays, prefix):
    """Without a prefix that every name has."""
    if arrays and all(name.startswith(prefix) for name in arrays):
        return {name[len(prefix):]: array for name, array in arrays.items()}
    return arrays


def split_whole_model(arrays):
    """Backbone and neck of PaddleClas's RecModel or a PaddleOCR model. Heads, and necks other than a linear layer or
    a batch norm, are in neither."""
    if not any(name.startswith("backbone.") for name in arrays):
        return arrays, {}
    backbone, neck = ({name[len(part):]: array for name, array in arrays.items() if name.startswith(part)}
                      for part in ("backbone.", "neck."))
    return backbone, {name: array for name, array in neck.items() if name.startswith(("fc.", "feat_bn."))}


def shape(arrays, name):
    return arrays[name].shape if name in arrays else ()


def arch_of(arrays):
    """Our name of the architecture whose tensors these are, by shapes that differ from variant to variant."""
    def channels(name):
        return (shape(arrays, name) or (0,))[0]

    if (out := channels("blocks.5.1.conv_pw.weight")):
        scales = {128: "x0_25", 176: "x0_35", 256: "x0_5", 384: "x0_75", 512: "x1_0", 768: "x1_5", 1024: "x2_0",
                  1280: "x2_5"}
        return "pplcnet_" + scales.get(out, "")
    if (out := channels("blocks6.3.pw_conv.conv_kxk.0.conv.weight")):
        return "pplcnetv3_" + {256: "x0_5", 384: "x0_75", 512: "x1_0", 768: "x1_5"}.get(out, "")
    if (out := channels("stages.2.0.pw_conv.0.conv.weight")):
        name = {192: "small", 256: "base", 320: "large"}.get(out, "")
        return f"pplcnetv2_{name}_shitu" if "conv_head.bias" in arrays else f"pplcnetv2_{name}"
    if (out := channels("stem.stem.0.conv.weight")):
        return "pphgnet_" + {48: "tiny", 64: "small", 96: "base"}.get(out, "")
    if (out := channels("stem.stem4.conv.weight")):
        last = channels("stages.3.blocks.0.aggregation.1.conv.weight")
        numbers = {(16, 1024): "b0", (32, 1024): "b1", (32, 1536): "b2", (32, 2048): "b3", (48, 2048): "b4",
                   (64, 2048): "b5", (96, 2048): "b6"}
        return "pphgnetv2_" + numbers.get((out, last), "")
    if (out := channels("patch_embed.proj.weight")):
        size = 384 if channels("layers.0.blocks.0.attn.relative_position_bias_table") == 23 * 23 else 224
        deep = "layers.2.blocks.6.norm1.weight" in arrays
        name = {96: "small" if deep else "tiny", 128: "base", 192: "large"}.get(out, "")
        return f"swin_{name}_{size}"
    return ""


def scaled_in_eval(arch):
    """Whether PaddleClas's eval mode multiplies the features by DROPOUT_KEEP (its dropout does not scale in
    training)."""
    return arch.startswith(("pplcnet_", "pplcnetv2_")) or arch == "pphgnet_base"


def convert_neck(neck, keep):
    """PaddleClas's FC or BNNeck behind features times `keep`, as Kindred's linear layer and batch norm."""
    out = {"neck." + renamed(name, BATCH_NORM).replace("feat_bn.", "bn."): array for name, array in neck.items()}
    if "neck.fc.weight" in out:
        out["neck.fc.weight"] = out["neck.fc.weight"] * numpy.float32(keep)
    elif "neck.bn.weight" in out:  # a batch norm alone: behind a linear layer that only scales
        out["neck.fc.weight"] = numpy.eye(out["neck.bn.weight"].size, dtype=numpy.float32) * numpy.float32(keep)
    return out


def transposed(arrays):
    """Paddle's linear weights are [in, out]; the only others with two dimensions are Swin's bias tables."""
    return {name: array.T if array.ndim == 2 and name.endswith(".weight") else array
            for name, array in arrays.items()}


def convert(arrays, source):
    """(arrays under our names, metadata) of a file's arrays. Raises WeightsError for a network that is not known."""
    arrays, neck = split_whole_model(strip(arrays, "module."))
    paddle = source == "paddle"
    if paddle:
        arrays, neck = transposed(arrays), transposed(neck)
    arrays = {name: array for name, array in arrays.items() if not LEFT_OUT.search(name)}
    rules = next((rules for name, rules in FOREIGN if name in arrays), [])
    arrays = {renamed(name, BATCH_NORM + rules): array for name, array in arrays.items()}
    arch = arch_of(arrays)
    if not arch or arch.endswith("_") or "__" in arch:
        raise WeightsError("the tensors are of no network that is known here (PP-LCNet, V2, V3, PP-HGNet, V2, Swin); "
                           f"they begin with {', '.join(list(arrays)[:4])}")
    if "stages.2.0.dw_conv_list.0.conv.weight" in arrays:  # PP-LCNetV2: idle until PaddleClas fuses the branches
        idle = re.compile(r"^stages\.[23]\.\d+\.dw_conv\.(weight|bias)$")
        arrays = {name: array for name, array in arrays.items() if not idle.match(name)}
    keep = DROPOUT_KEEP if paddle and scaled_in_eval(arch) else 1
    for name in ("classifier.weight", "head.fc.weight"):
        if name in arrays and keep != 1:
            arrays[name] = arrays[name] * numpy.float32(keep)
    arrays.update(convert_neck(neck, keep))
    if arch.startswith("pplcnet_") and "conv_head.weight" in arrays and "conv_head.bias" not in arrays:
        arrays["conv_head.bias"] = numpy.zeros(arrays["conv_head.weight"].shape[0], numpy.float32)  # timm's
    metadata = {"format": "pt", "kindred.arch": arch}
    if arch.startswith("pphgnetv2_"):  # how each framework pads the stem's pool
        metadata["kindred.stem_pool"] = "inf" if paddle else "zero"
    return arrays, metadata
