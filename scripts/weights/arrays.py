"""NumPy arrays and PyTorch tensors as pickles spell them, made by functions that check what they are given."""

import functools
import math

import numpy

from weights.unpickle import Function, Inert, WeightsError

# numpy's one-letter kinds and sizes; object arrays, which hold pickles, are not among them.
NUMBER_CODES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def whole(value, what):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WeightsError(f"{what} is {value!r:.60}; expected a whole number")
    return value


def dims_of(value):
    if not isinstance(value, (tuple, list)) or len(value) > 8:
        raise WeightsError(f"a shape is {value!r:.60}; expected up to 8 dimensions")
    return tuple(whole(dim, "a dimension") for dim in value)


def widened(numbers):
    """Native and dense, floats as float32, so that all that follows knows one kind."""
    dtype = numpy.float32 if numbers.dtype.kind == "f" else numbers.dtype.newbyteorder("=")
    return numpy.array(numbers, dtype, order="C")


class DTypeBuilder:
    """numpy.dtype("f4", False, True), whose byte order comes as state."""

    def __init__(self, code, *_):
        if code not in NUMBER_CODES:
            raise WeightsError(f"an array of numpy type {code!r:.60}; expected numbers")
        self.dtype = numpy.dtype(code).newbyteorder("<")

    def set_state(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise WeightsError(f"a numpy type with the byte order {order!r:.60}")
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")


class Array:
    """Numbers that lie in the pickle; `array` makes the numpy array, floats as float32."""

    def __init__(self, raw, dtype, dims, fortran=False):
        if not isinstance(raw, bytes) or not isinstance(dtype, DTypeBuilder):
            raise WeightsError("an array without bytes or type")
        self.elements = math.prod(dims)
        if self.elements * dtype.dtype.itemsize != len(raw):
            raise WeightsError(f"an array {list(dims)} of {dtype.dtype.itemsize}-byte numbers has {len(raw)} bytes")
        self.numbers = numpy.frombuffer(raw, dtype.dtype).reshape(dims, order="F" if fortran else "C")

    def array(self):
        return widened(self.numbers)


class ArrayBuilder:
    """numpy's `_reconstruct`: an empty array, whose shape, type and bytes come as state."""

    def __init__(self, *_):
        self.made = None

    def set_state(self, state):
        if not isinstance(state, tuple) or len(state) != 5:
            raise WeightsError("an array with a state that is not numpy's")
        _, dims, dtype, fortran, raw = state
        self.made = Array(raw, dtype, dims_of(dims), bool(fortran))


@functools.lru_cache(maxsize=None)  # a pickle that asks for the same bytes a thousand times has them once
def encode(text, encoding):
    """How protocol 2 stores bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise WeightsError(f"text in the encoding {encoding!r:.60}; expected 'latin1'")
    return text.encode("latin-1")


def table(rows):
    return {(module, name): Function(f"{module}.{name}", make) for module, name, make in rows}


NUMPY_FUNCTIONS = table(
    [("numpy", "ndarray", Inert), ("numpy", "dtype", DTypeBuilder), ("_codecs", "encode", encode),
     ("collections", "OrderedDict", lambda *pairs: dict(*pairs)),
     ("argparse", "Namespace", Inert),
     ("__builtin__", "bytes", lambda: b"")]  # no bytes at all, by protocol 2
    + [(core + ".multiarray", "_reconstruct", ArrayBuilder) for core in ("numpy.core", "numpy._core")]
    + [(core + ".multiarray", "scalar", lambda dtype, raw: Array(raw, dtype, ()))
       for core in ("numpy.core", "numpy._core")])

# PyTorch's storage classes; bfloat16, which numpy has not, is read as the upper half of a float32.
STORAGE_TYPES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "u2",
                 "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
                 "ByteStorage": "u1", "BoolStorage": "b1"}


class StorageType:
    def __init__(self, name):
        self.name, self.dtype = name, numpy.dtype("<" + STORAGE_TYPES[name])

    def read(self, raw, elements):
        if len(raw) < elements * self.dtype.itemsize:
            raise WeightsError(f"a storage of {elements} numbers has {len(raw)} bytes; is the file truncated?")
        numbers = numpy.frombuffer(raw, self.dtype, elements)
        if self.name == "BFloat16Storage":
            return (numbers.astype(numpy.uint32) << 16).view(numpy.float32)
        return numbers


class Storage:
    """A named storage, which legacy files bring only behind the pickle."""

    def __init__(self, kind, elements, numbers=None):
        self.kind, self.elements, self.numbers = kind, elements, numbers


class TensorView:
    """A tensor: a strided view into a storage."""

    def __init__(self, storage, offset, dims, strides, *_):
        if not isinstance(storage, Storage):
            raise WeightsError("a tensor without a storage")
        self.storage, self.offset = storage, whole(offset, "a tensor's offset")
        self.dims, self.strides = dims_of(dims), dims_of(strides)
        self.elements = math.prod(self.dims)
        last = self.offset + sum((dim - 1) * stride for dim, stride in zip(self.dims, self.strides))
        if len(self.dims) != len(self.strides) or self.elements > storage.elements or \
                (self.elements and last >= storage.elements):
            raise WeightsError(f"a tensor {list(self.dims)} with the strides {list(self.strides)} does not lie in its "
                               f"storage of {storage.elements} numbers")

    def array(self):
        numbers = self.storage.numbers
        steps = tuple(stride * numbers.itemsize for stride in self.strides)
        view = numpy.lib.stride_tricks.as_strided(numbers[self.offset:], self.dims, steps, writeable=False)
        return widened(view)


def parameter(data, *_):
    return data


TORCH_FUNCTIONS = {
    **NUMPY_FUNCTIONS,
    **table([("torch._utils", "_rebuild_tensor_v2", TensorView), ("torch._utils", "_rebuild_tensor", TensorView),
             ("torch._utils", "_rebuild_parameter", parameter), ("torch", "Size", tuple)]),
    **{("torch", name): StorageType(name) for name in STORAGE_TYPES},
}
