"""Hostile and damaged pickles are refused, and nothing they name is ever called."""

import builtins
import io
import os
import pathlib
import pickle
import struct
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from weights.arrays import NUMPY_FUNCTIONS, TORCH_FUNCTIONS
from weights.checkpoint import read_checkpoint
from weights.unpickle import Machine, WeightsError


def load(data):
    return Machine(TORCH_FUNCTIONS).load(io.BytesIO(data))


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class State:
    pass


class HostilePickles(unittest.TestCase):
    marker = "/tmp/kindred-unpickle-test-must-not-exist"

    def refused(self, data, message=""):
        with self.assertRaises(WeightsError) as caught:
            load(data)
        self.assertIn(message, str(caught.exception))
        self.assertFalse(os.path.exists(self.marker))

    def test_calls_are_refused_by_name(self):
        calls = [Call(os.system, f"touch {self.marker}"), Call(eval, f"open({self.marker!r}, 'w')"),
                 Call(exec, f"open({self.marker!r}, 'w')"), Call(builtins.open, self.marker, "w"),
                 Call(builtins.getattr, os, "system"), Call(builtins.__import__, "os"), Call(numpy.load, self.marker),
                 Call(numpy.memmap, self.marker, "u1", "w+", 0, (8,))]
        for call in calls:
            for protocol in range(5):
                with self.subTest(call=call.function.__name__, protocol=protocol):
                    try:
                        data = pickle.dumps({"a": call}, protocol)
                    except (TypeError, pickle.PicklingError):
                        continue  # modules cannot be arguments in a pickle
                    self.refused(data, "which weights have no use for; refused")

    def test_names_that_were_not_foreseen_are_refused(self):
        for module, name in [("os", "system"), ("torch", "load"), ("torch", "FloatStorage.from_file"),
                             ("numpy", "dtype.__class__"), ("collections", "OrderedDict.__init__.__globals__"),
                             ("numpy.core.multiarray", "fromfile"), ("_codecs", "lookup"), ("", "")]:
            self.refused(f"c{module}\n{name}\n.".encode(), f"'{module}.{name}'")
            texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
            self.refused(b"\x80\x04" + texts + b"\x93.", f"'{module}.{name}'")

    def test_a_name_that_is_no_text_is_refused(self):
        self.refused(b"\x80\x04K\x01K\x02\x93.", "refused")
        self.refused(b"\x80\x04]]\x93.", "refused")

    def test_opcodes_that_call_are_refused(self):
        for data, opcode in [(b"(ios\nsystem\n.", "INST"), (b"(cos\nsystem\no.", "os.system"),
                             (b"(cnumpy\ndtype\no.", "OBJ"), (b"Pname\n.", "PERSID"), (b"\x82\x01.", "EXT1"),
                             (b"\x83\x01\x00.", "EXT2"), (b"cnumpy\ndtype\n)}\x92.", "NEWOBJ_EX"), (b"N2.", "DUP")]:
            self.refused(data, opcode)

    def test_objects_are_not_made_behind_their_makers_back(self):
        self.refused(b"\x80\x02cnumpy\ndtype\n)\x81.", "numpy.dtype")
        self.refused(pickle.dumps(State(), 2), "State")

    def test_only_data_has_state(self):
        self.refused(b"\x80\x02cnumpy\ndtype\n}b.", "sets the state of a Function")
        self.refused(b"\x80\x02K\x01}b.", "sets the state of a int")

    def test_only_known_functions_are_called(self):
        self.refused(b"\x80\x02K\x01)R.", "expected Function")
        self.refused(b"\x80\x02ctorch\nFloatStorage\n)R.", "expected Function")
        self.refused(b"\x80\x02cnumpy\ndtype\n]R.", "no tuple")

    def test_arguments_that_make_no_sense_are_refused(self):
        for arguments in [(), (1,), ("O",), ("V999999999",), ("U8",), (("f4", (1 << 40,)),), ([("a", "O")],)]:
            self.refused(b"\x80\x02cnumpy\ndtype\n" + pickle.dumps(arguments, 2)[2:-1] + b"R.", "numpy")
        self.refused(b"\x80\x02c_codecs\nencode\n" + pickle.dumps(("x", "rot13"), 2)[2:-1] + b"R.", "rot13")

    def test_object_arrays_are_refused(self):
        for protocol in (2, 3, 4):
            self.refused(pickle.dumps(numpy.array([{}], dtype=object), protocol), "O8")

    def test_the_memo_gives_back_what_was_put_there_and_nothing_else(self):
        self.refused(b"\x80\x02h\x07.", "damaged")
        self.refused(b"\x80\x02q\x01.", "damaged")
        self.assertEqual(load(b"\x80\x02K\x05q\x01h\x01\x86."), (5, 5))
        self.assertEqual(load(b"\x80\x02K\x05r\xff\xff\xff\x7fj\xff\xff\xff\x7f\x86."), (5, 5))
        with self.assertRaises(WeightsError):  # the memo cannot replace a function by another
            load(b"\x80\x02cnumpy\ndtype\nq\x010cos\nsystem\n.")

    def test_a_list_that_holds_itself_does_no_harm(self):
        value = load(b"\x80\x02]q\x00h\x00a.")
        self.assertIs(value[0], value)
        with self.assertRaisesRegex(WeightsError, "no state dict"):
            read_checkpoint(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.")

    def test_huge_sizes_are_refused_without_huge_memory(self):
        for opcode, length in [(b"X", "<I"), (b"B", "<I"), (b"T", "<i"), (b"\x8b", "<i"), (b"\x8d", "<Q"),
                               (b"\x8e", "<Q"), (b"\x95", "<Q"), (b"\x96", "<Q")]:
            for size in (0x7FFFFFFF, 1 << 62):
                if size < 1 << (8 * struct.calcsize(length) - 1):
                    self.refused(b"\x80\x04" + opcode + struct.pack(length, size) + b"abc.", "damaged")
        self.refused(b"\x80\x02I" + b"9" * 100_000 + b"\n.", "damaged")

    def test_large_arrays_from_few_bytes_are_refused(self):
        data = bytearray(pickle.dumps({"a": numpy.zeros(3, numpy.float32)}, 2))
        data = data.replace(b"K\x03", b"M\xff\xff")
        with self.assertRaisesRegex(WeightsError, "an array"):
            read_checkpoint(bytes(data))
        shared = numpy.zeros(100_000, numpy.float16)
        many = pickle.dumps({str(i): shared for i in range(1000)}, 4)  # one array in the pickle, by the memo
        self.assertLess(len(many), 300_000)
        with self.assertRaisesRegex(WeightsError, "more numbers than the file has bytes"):
            read_checkpoint(many)

    def test_broken_stacks_are_refused(self):
        for data in (b".", b"\x80\x02.", b"a.", b"(a.", b"e.", b"t.", b"(t", b"}s.", b"}(K\x01u.", b"](K\x01s.", b"\x86.",
                     b"R.", b"b.", b"]K\x01K\x02s.", b"}](u.", b"(.", b"(K\x01ds.", b"\x94.", b"\x93.", b"\x81.", b"Q."):
            self.refused(data)

    def test_every_truncation_is_refused(self):
        arrays = {"a.weight": numpy.arange(6, dtype=numpy.float32).reshape(2, 3), "b": numpy.ones(2)}
        for protocol in (2, 4):
            data = pickle.dumps(arrays, protocol)
            load(data)
            for length in range(len(data)):
                self.refused(data[:length])

    def test_flipped_bytes_never_do_more_than_raise_our_error(self):
        data = pickle.dumps({"a.weight": numpy.arange(6, dtype=numpy.float32).reshape(2, 3)}, 4)
        for at in range(len(data)):
            for flip in (1, 0x20, 0x80, 0xFF):
                damaged = data[:at] + bytes([data[at] ^ flip]) + data[at + 1:]
                try:
                    read_checkpoint(damaged)
                except WeightsError:
                    pass


class HarmlessPickles(unittest.TestCase):
    def test_arrays_of_every_type_come_out_as_they_went_in(self):
        arrays = {"f4": numpy.array([[1.5, -2], [3, 4]], "f4"), "f2": numpy.array([0.1], "f2"),
                  "f8": numpy.array(0.1), "i8": numpy.arange(3), "big": numpy.array([1, 2.5], ">f4"),
                  "columns": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)), "none": numpy.zeros((0, 3), "f4"),
                  "bool": numpy.array([True, False]), "scalar": numpy.float32(7)}
        for protocol in (2, 3, 4):
            read, source = read_checkpoint(pickle.dumps(arrays, protocol))
            self.assertEqual(source, "paddle")
            for name, array in arrays.items():
                want = numpy.asarray(array, "f4") if numpy.asarray(array).dtype.kind == "f" else array
                numpy.testing.assert_array_equal(read[name], want)
                self.assertEqual(read[name].dtype, want.dtype)

    def test_paddles_extras_are_passed_over(self):
        data = {"a": ("name", numpy.ones(2, "f4")), "StructuredToParameterName@@": {"a": "linear_0.w_0"}}
        read, _ = read_checkpoint(pickle.dumps(data, 2))
        self.assertEqual(list(read), ["a"])

    def test_every_plain_value_comes_out(self):
        value = [None, True, False, 1, -1, 255, 1 << 20, 1 << 70, -(1 << 70), 1.5, "text", "ü", b"bytes", (), (1,),
                 (1, 2, 3, 4), [], [1], {}, {"a": 1}, {"a": [{"b": ()}], "c": 2}, "x" * 300, b"y" * 300]
        for protocol in range(5):
            if protocol < 3:
                value = [item for item in value if not isinstance(item, bytes)]  # a call of _codecs.encode
            self.assertEqual(load(pickle.dumps(value, protocol)), value)

    def test_the_allow_list_is_what_it_is(self):
        self.assertEqual({module for module, _ in TORCH_FUNCTIONS},
                         {"torch", "torch._utils", "numpy", "numpy.core.multiarray", "numpy._core.multiarray",
                          "_codecs", "collections", "argparse", "__builtin__"})
        self.assertLess(set(NUMPY_FUNCTIONS), set(TORCH_FUNCTIONS))


if __name__ == "__main__":
    unittest.main()
