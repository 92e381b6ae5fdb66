"""Weight files of other programs through scripts/convert_weights.py: formats by PyTorch's and PaddlePaddle's rules,
names of every family against the networks of kindred-model."""

import collections
import io
import json
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import types
import unittest
import zipfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "convert_weights.py"
KINDRED_MODEL = os.environ.get("KINDRED_MODEL", str(ROOT / "build" / "bin" / "kindred-model"))
sys.path.insert(0, str(ROOT / "scripts"))
from weights.checkpoint import read_checkpoint
from weights.names import convert
from weights.unpickle import WeightsError


# A stand-in for PyTorch, whose pickles name these classes and functions.
def fake_torch():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "HalfStorage", "DoubleStorage", "BFloat16Storage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        exec(f"def {name}(*arguments): pass", utils.__dict__)
        getattr(utils, name).__module__ = "torch._utils"
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
    return torch, utils


TORCH, UTILS = fake_torch()


class Tensor:
    """What a fake torch.Tensor pickles as: a view of a storage."""

    def __init__(self, storage, offset, dims, strides, parameter=False):
        self.storage, self.offset, self.dims, self.strides = storage, offset, dims, strides
        self.parameter = parameter

    def __reduce__(self):
        arguments = (self.storage, self.offset, self.dims, self.strides, False, collections.OrderedDict())
        if self.parameter:
            return UTILS._rebuild_parameter, (Tensor(*arguments[:4]), True, collections.OrderedDict())
        return UTILS._rebuild_tensor_v2, arguments


class Storage:
    def __init__(self, key, kind, raw, elements):
        self.key, self.kind, self.raw, self.elements = key, kind, raw, elements


class TorchPickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        identity = ("storage", getattr(TORCH, value.kind), value.key, "cpu", value.elements)
        return identity + (None,) if self.legacy else identity


def pickled(value, legacy=False):
    stream = io.BytesIO()
    pickler = TorchPickler(stream, 2)
    pickler.legacy = legacy
    pickler.dump(value)
    return stream.getvalue()


def torch_zip(value, storages, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("model/data.pkl", pickled(value))
        archive.writestr("model/byteorder", "little")
        for storage in storages:
            archive.writestr(f"model/data/{storage.key}", storage.raw)
        archive.writestr("model/version", "3\n")
    return stream.getvalue()


def torch_legacy(value, storages):
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    out = b"".join(pickle.dumps(part, 2) for part in head) + pickled(value, legacy=True)
    out += pickle.dumps([storage.key for storage in storages], 2)
    return out + b"".join(struct.pack("<q", storage.elements) + storage.raw for storage in storages)


def floats(key, values):
    return Storage(key, "FloatStorage", numpy.asarray(values, "<f4").tobytes(), len(values))


class TorchFiles(unittest.TestCase):
    def setUp(self):
        self.storages = [floats("0", numpy.arange(12)),
                         Storage("1", "HalfStorage", numpy.array([0.5, -2], "<f2").tobytes(), 2),
                         Storage("2", "BFloat16Storage", struct.pack("<2H", 0x3F80, 0xC040), 2),
                         Storage("3", "DoubleStorage", numpy.array([0.25], "<f8").tobytes(), 1),
                         Storage("4", "LongStorage", numpy.array([7], "<i8").tobytes(), 1)]
        s = self.storages
        self.state = collections.OrderedDict([
            ("whole", Tensor(s[0], 0, (3, 4), (4, 1))), ("turned", Tensor(s[0], 0, (4, 3), (1, 4))),
            ("part", Tensor(s[0], 5, (2, 2), (4, 2), parameter=True)), ("half", Tensor(s[1], 0, (2,), (1,))),
            ("brain", Tensor(s[2], 0, (2, 1), (1, 1))), ("double", Tensor(s[3], 0, (), ())),
            ("counter", Tensor(s[4], 0, (), ())), ("none", Tensor(s[0], 0, (0, 2), (2, 1)))])
        self.state._metadata = {"": {"version": 1}}  # an attribute, as torch's state dicts have
        self.want = {"whole": numpy.arange(12).reshape(3, 4), "turned": numpy.arange(12).reshape(3, 4).T,
                     "part": [[5, 7], [9, 11]], "half": [0.5, -2], "brain": [[1], [-3]], "double": 0.25, "counter": 7,
                     "none": numpy.zeros((0, 2))}

    def expect(self, data):
        arrays, source = read_checkpoint(data)
        self.assertEqual(source, "torch")
        self.assertEqual(list(arrays), list(self.want))
        for name, want in self.want.items():
            numpy.testing.assert_array_equal(arrays[name], want, name)
            self.assertEqual(arrays[name].dtype, numpy.int64 if name == "counter" else numpy.float32)

    def test_both_formats_give_every_type_and_view(self):
        self.expect(torch_zip(self.state, self.storages))
        self.expect(torch_legacy(self.state, self.storages))

    def test_training_programs_wrap_the_state_dict(self):
        for wrap in (lambda s: {"epoch": 3, "model": s}, lambda s: {"state_dict": s, "optimizer": {"state": {}}},
                     lambda s: {"model_ema": s, "state_dict": {"other": 1}}, lambda s: {"model": {"state_dict": s}}):
            self.expect(torch_zip(wrap(self.state), self.storages))

    def test_an_argparse_namespace_beside_it_is_passed_over(self):
        import argparse
        self.expect(torch_zip({"args": argparse.Namespace(lr=0.1), "state_dict": self.state}, self.storages))

    def test_a_file_without_a_state_dict_says_so(self):
        for value in ({}, {"model": {}}, [1], {"model": {"model": {"model": {"model": {"model": {}}}}}}):
            with self.assertRaisesRegex(WeightsError, "no state dict"):
                read_checkpoint(torch_zip(value, []))

    def test_tensors_outside_their_storage_are_refused(self):
        for offset, dims, strides in [(0, (13,), (1,)), (12, (1,), (1,)), (0, (2, 2), (11, 1)), (-1, (1,), (1,)),
                                      (0, (2,), (-1,)), (0, (1 << 40,), (0,)), (0, (3, 4), (4,)), (True, (1,), (1,)),
                                      (0, (2,) * 9, (0,) * 9), (0, (2.0,), (1,))]:
            with self.subTest(offset=offset, dims=dims), self.assertRaises(WeightsError):
                read_checkpoint(torch_zip({"a": Tensor(self.storages[0], offset, dims, strides)}, self.storages))

    def test_storages_that_lie_about_their_size_are_refused(self):
        self.storages[0].elements = 1 << 50
        for data in (torch_zip(self.state, self.storages), torch_legacy(self.state, self.storages)):
            with self.assertRaisesRegex(WeightsError, "truncated"):
                read_checkpoint(data)

    def test_packed_archives_are_refused(self):
        with self.assertRaisesRegex(WeightsError, "packed"):
            read_checkpoint(torch_zip(self.state, self.storages, zipfile.ZIP_DEFLATED))

    def test_every_truncation_is_refused(self):
        for data in (torch_zip(self.state, self.storages), torch_legacy(self.state, self.storages)):
            for length in range(0, len(data), 3):
                with self.assertRaises(WeightsError):
                    read_checkpoint(data[:length])

    def test_flipped_bytes_never_do_more_than_raise_our_error(self):
        for data in (torch_zip(self.state, self.storages), torch_legacy(self.state, self.storages)):
            for at in range(0, len(data), 2):
                damaged = bytearray(data)
                damaged[at] ^= 1 << at % 8
                try:
                    read_checkpoint(bytes(damaged))
                except WeightsError:
                    pass


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, base = json.loads(data[8:8 + length]), 8 + length
    metadata = header.pop("__metadata__", {})
    return {name: numpy.frombuffer(data[base + e["data_offsets"][0]:base + e["data_offsets"][1]], "<f4")
            .reshape(e["shape"]) for name, e in header.items()}, metadata


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


# From our names to PaddleClas's, written down apart from the converter's own table.
TO_PADDLE = {
    "pplcnet": [(r"^conv_stem", "conv1.conv"), (r"^bn1\.", "conv1.bn."), (r"^blocks\.([0125])\.", None),
                (r"^blocks\.3\.", "blocks5."), (r"^blocks\.4\.0", "blocks5.2"), (r"^blocks\.4\.1", "blocks5.3"),
                (r"^blocks\.4\.2", "blocks5.4"), (r"^blocks\.4\.3", "blocks5.5"), (r"conv_dw", "dw_conv.conv"),
                (r"\.bn1\.", ".dw_conv.bn."), (r"conv_pw", "pw_conv.conv"), (r"\.bn2\.", ".pw_conv.bn."),
                (r"conv_reduce", "conv1"), (r"conv_expand", "conv2"), (r"conv_head", "last_conv"), (r"classifier", "fc")],
    "pplcnetv2": [(r"se\.fc", "se.conv"), (r"pw_conv\.0\.", "pw_conv_1."), (r"pw_conv\.1\.", "pw_conv_2."),
                  (r"conv_head", "last_conv"), (r"classifier", "fc")],
    "pplcnetv3": [],
    "pphgnet": [(r"^stem\.stem", "stem"), (r"aggregation\.0", "aggregation_conv"), (r"aggregation\.1\.conv", "att.conv"),
                (r"head\.last_conv\.0", "last_conv"), (r"head\.fc", "fc")],
    "pphgnetv2": [(r"aggregation\.0", "aggregation_squeeze_conv"), (r"aggregation\.1", "aggregation_excitation_conv"),
                  (r"head\.last_conv\.0", "last_conv"), (r"head\.last_conv\.2", "lab"), (r"head\.fc", "fc")],
    "swin": [(r"layers\.1\.downsample", "layers.0.downsample"), (r"layers\.2\.downsample", "layers.1.downsample"),
             (r"layers\.3\.downsample", "layers.2.downsample"), (r"head\.fc", "head")],
}


def paddle_name(name, family):
    for pattern, replacement in TO_PADDLE[family]:
        name = re.sub(pattern, replacement or (lambda m: f"blocks{ {'5': 6}.get(m[1], int(m[1]) + 2) }."), name)
    return name.replace("running_mean", "_mean").replace("running_var", "_variance")


def to_paddle(arrays, family, scale):
    out = {}
    for name, array in arrays.items():
        if re.search(r"^(classifier|head\.fc|fc)\.weight$", name):
            array = array / numpy.float32(scale)
        if array.ndim == 2 and name.endswith("weight"):
            array = numpy.ascontiguousarray(array.T)
        out[paddle_name(name, family)] = array
    return out


class PaddleFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def model(self, arch, *options):
        code, text = run(KINDRED_MODEL, "init", "--arch", arch, "--output", self.path("model.safetensors"),
                         "--image-size", "64", "--seed", "3", *options)
        self.assertEqual(code, 0, text)
        return read_safetensors(self.path("model.safetensors"))[0]

    def converted(self, arrays, protocol=4, *options):
        with open(self.path("w.pdparams"), "wb") as file:
            pickle.dump(arrays, file, protocol)
        code, text = run(sys.executable, SCRIPT, self.path("w.pdparams"), self.path("w.safetensors"))
        self.assertEqual(code, 0, text)
        code, text = run(KINDRED_MODEL, "import", "--weights", self.path("w.safetensors"), "--output",
                         self.path("imported.safetensors"), "--image-size", "64", *options)
        self.assertEqual(code, 0, text)
        return read_safetensors(self.path("imported.safetensors"))[0], text

    def expect_round_trip(self, arch, scale, extra=(), protocol=4):
        want = self.model(arch, "--classes", "10")
        family = arch.split("_")[0]
        arrays = to_paddle({name: a for name, a in want.items()
                            if not (family == "pplcnet" and name == "conv_head.bias")}, family, scale)
        got, text = self.converted({**arrays, **dict(extra), "StructuredToParameterName@@": {}}, protocol)
        self.assertIn(arch, text)
        self.assertEqual(set(got), set(want))
        for name, array in want.items():
            if name.endswith("weight") and array.ndim == 2:
                numpy.testing.assert_allclose(got[name], array, rtol=1e-6)  # divided and multiplied by 0.8
            else:
                numpy.testing.assert_array_equal(got[name], array, name)

    def test_pplcnet(self):
        self.expect_round_trip("pplcnet_x0_25", 0.8)
        self.expect_round_trip("pplcnet_x0_35", 0.8, protocol=2)

    def test_pplcnetv2_without_its_idle_convolutions(self):
        idle = [("stages.2.0.dw_conv.weight", numpy.ones((192, 1, 5, 5), "f4")),
                ("stages.3.1.dw_conv.bias", numpy.ones(768, "f4"))]
        self.expect_round_trip("pplcnetv2_small", 0.8, idle)

    def test_pplcnetv3_without_its_detection_heads(self):
        self.expect_round_trip("pplcnetv3_x0_5", 1, [("layer_list.0.weight", numpy.ones((8, 32, 1, 1), "f4"))])

    def test_pphgnetv2(self):
        self.expect_round_trip("pphgnetv2_b0", 1)
        self.assertEqual(read_safetensors(self.path("w.safetensors"))[1]["kindred.stem_pool"], "inf")

    def test_pphgnet(self):
        self.expect_round_trip("pphgnet_tiny", 1)

    def test_a_retrieval_model_keeps_its_neck_and_loses_its_head(self):
        want = self.model("pplcnet_x0_25", "--embedding", "16", "--tail")
        backbone = to_paddle({n: a for n, a in want.items() if not n.startswith(("neck", "conv_head.b"))}, "pplcnet", 1)
        arrays = {f"backbone.{name}": array for name, array in backbone.items()}
        arrays.update({"neck.fc.weight": want["neck.fc.weight"].T / numpy.float32(0.8),
                       "neck.fc.bias": want["neck.fc.bias"] + 1, "head.weight": numpy.ones((16, 9), "f4")})
        got, _ = self.converted(arrays, 4, "--embedding", "16", "--tail")
        numpy.testing.assert_allclose(got["neck.fc.weight"], want["neck.fc.weight"], rtol=1e-6)
        numpy.testing.assert_array_equal(got["neck.fc.bias"], want["neck.fc.bias"] + 1)
        numpy.testing.assert_array_equal(got["blocks.5.1.bn2.weight"], want["blocks.5.1.bn2.weight"])

    def test_a_batch_norm_neck_stands_behind_a_linear_layer_that_scales(self):
        want = self.model("pplcnetv2_base_shitu", "--embedding", "512", "--tail", "--bnneck")
        backbone = to_paddle({n: a for n, a in want.items() if not n.startswith("neck")}, "pplcnetv2", 1)
        arrays = {f"backbone.{name}": array for name, array in backbone.items()}
        arrays.update({f"neck.feat_bn.{name}": numpy.full(512, i + 1, "f4")
                       for i, name in enumerate(("weight", "bias", "_mean", "_variance"))})
        got, _ = self.converted(arrays, 4, "--embedding", "512", "--tail", "--bnneck")
        numpy.testing.assert_array_equal(got["neck.fc.weight"], numpy.eye(512, dtype="f4") * numpy.float32(0.8))
        self.assertEqual([got[f"neck.bn.{n}"][0] for n in ("weight", "bias", "running_mean", "running_var")], [1, 2, 3, 4])

    def test_missing_surplus_and_misshapen_tensors_are_all_listed(self):
        arrays = to_paddle(self.model("pplcnet_x0_25", "--classes", "10"), "pplcnet", 1)
        del arrays["conv1.bn._mean"], arrays["blocks6.1.se.conv2.bias"]
        arrays.update({"surprise": numpy.ones(2, "f4"), "conv1.bn.weight": numpy.ones(9, "f4")})
        with open(self.path("w.pdparams"), "wb") as file:
            pickle.dump(arrays, file, 4)
        run(sys.executable, SCRIPT, self.path("w.pdparams"), self.path("w.safetensors"))
        command = [KINDRED_MODEL, "import", "--weights", self.path("w.safetensors"), "--output", self.path("m.safetensors")]
        code, text = run(*command)
        self.assertEqual(code, 1, text)
        faults = ("bn1.running_mean", "blocks.5.1.se.conv_expand.bias", "surprise", "'bn1.weight' has shape [9]")
        for fault in faults:
            self.assertIn(fault, text)
        self.assertFalse(os.path.exists(self.path("m.safetensors")))
        code, text = run(*command, "--allow-partial")
        self.assertEqual(code, 0, text)
        for fault in faults:
            self.assertIn(fault, text)


class Names(unittest.TestCase):
    """Swin's files, without its hundred megabytes."""

    swin = {"patch_embed.proj.weight": numpy.zeros((96, 3, 4, 4), "f4"),
            "layers.0.downsample.reduction.weight": numpy.arange(8, dtype="f4").reshape(2, 4),
            "layers.2.downsample.norm.bias": numpy.zeros(4, "f4"),
            "layers.0.blocks.0.attn.relative_position_bias_table": numpy.zeros((169, 3), "f4"),
            "layers.0.blocks.0.attn.relative_position_index": numpy.zeros((49, 49), "i8"),
            "layers.0.blocks.1.attn_mask": numpy.zeros((64, 49, 49), "f4"),
            "head.weight": numpy.arange(6, dtype="f4").reshape(3, 2), "head.bias": numpy.zeros(3, "f4")}

    def test_microsofts_swin_moves_its_merging_and_its_head(self):
        arrays, metadata = convert(dict(self.swin), "torch")
        self.assertEqual(metadata["kindred.arch"], "swin_tiny_224")
        self.assertEqual(set(arrays), {"patch_embed.proj.weight", "layers.1.downsample.reduction.weight",
                                       "layers.3.downsample.norm.bias", "head.fc.weight", "head.fc.bias",
                                       "layers.0.blocks.0.attn.relative_position_bias_table"})
        numpy.testing.assert_array_equal(arrays["head.fc.weight"], self.swin["head.weight"])

    def test_paddles_swin_is_turned_but_for_its_tables(self):
        arrays, _ = convert(dict(self.swin), "paddle")
        numpy.testing.assert_array_equal(arrays["head.fc.weight"], self.swin["head.weight"].T)
        self.assertEqual(arrays["layers.1.downsample.reduction.weight"].shape, (4, 2))
        self.assertEqual(arrays["layers.0.blocks.0.attn.relative_position_bias_table"].shape, (169, 3))

    def test_timms_swin_stays_as_it_is(self):
        timm = {name.replace("head.", "head.fc.").replace("layers.0.downsample", "layers.1.downsample"): array
                for name, array in self.swin.items() if "layers.2" not in name}
        arrays, _ = convert({"module." + name: array for name, array in timm.items()}, "torch")
        self.assertIn("layers.1.downsample.reduction.weight", arrays)
        self.assertIn("head.fc.weight", arrays)

    def test_the_window_tells_the_image_size(self):
        table = {"layers.0.blocks.0.attn.relative_position_bias_table": numpy.zeros((529, 4), "f4"),
                 "patch_embed.proj.weight": numpy.zeros((128, 3, 4, 4), "f4")}
        self.assertEqual(convert({**self.swin, **table}, "torch")[1]["kindred.arch"], "swin_base_384")

    def test_strangers_are_refused(self):
        for arrays in ({"layer1.0.conv1.weight": numpy.zeros((64, 64, 1, 1), "f4")},
                       {**self.swin, "patch_embed.proj.weight": numpy.zeros((100, 3, 4, 4), "f4")}):
            with self.assertRaisesRegex(WeightsError, "no network that is known here"):
                convert(arrays, "torch")


class CommandLine(unittest.TestCase):
    def test_exit_codes_and_messages(self):
        with tempfile.TemporaryDirectory() as folder:
            bad, out = os.path.join(folder, "bad.pth"), os.path.join(folder, "o.safetensors")
            pathlib.Path(bad).write_bytes(b"neither")
            for arguments, code, message in [((bad,), 2, "output"), ((bad, "o.bin"), 2, ".safetensors"),
                                             ((bad, out), 1, f"{bad}: neither a zip archive nor a pickle"),
                                             ((folder + "/none", out), 1, "No such file"), (("--help",), 0, "NumPy")]:
                got, text = run(sys.executable, SCRIPT, *arguments)
                self.assertEqual(got, code, text)
                self.assertIn(message, text)
            self.assertEqual(os.listdir(folder), ["bad.pth"])


if __name__ == "__main__":
    unittest.main()
