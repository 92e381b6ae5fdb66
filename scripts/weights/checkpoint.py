"""Checkpoint files as a dictionary from name to numpy array: PyTorch's zip and legacy formats, PaddlePaddle's
.pdparams. Sources: torch/serialization.py and paddle/framework/io.py, whose formats these are."""

import io
import struct
import zipfile

from weights.arrays import (NUMPY_FUNCTIONS, TORCH_FUNCTIONS, Array, ArrayBuilder, Storage, StorageType, TensorView,
                            whole)
from weights.unpickle import Machine, WeightsError

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# Where training programs put the state dict, the better one first.
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module")


def storage_of(persistent_id):
    """('storage', type, key, location, elements[, view]) -> key, Storage without numbers."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) < 5 or persistent_id[0] != "storage":
        raise WeightsError("an outside storage that is not PyTorch's")
    _, kind, key, _, elements = persistent_id[:5]
    if not isinstance(kind, StorageType) or not isinstance(key, str):
        raise WeightsError("an outside storage without type or name")
    if len(persistent_id) > 5 and persistent_id[5] is not None:
        raise WeightsError("a storage that is a view of another; save the file again with a newer PyTorch")
    return key, Storage(kind, whole(elements, "a storage's size"))


class Storages:
    """Hands out one Storage per key; `fetch(key, storage)` gives its numbers when they are there already."""

    def __init__(self, fetch=None):
        self.by_key, self.fetch = {}, fetch

    def __call__(self, persistent_id):
        key, storage = storage_of(persistent_id)
        known = self.by_key.get(key)
        if known is None:
            known = self.by_key[key] = storage
            if self.fetch:
                known.numbers = self.fetch(key, known)
        if known.kind.name != storage.kind.name or known.elements != storage.elements:
            raise WeightsError(f"the storage '{key}' has two types or sizes")
        return known


def read_torch_zip(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise WeightsError("a zip archive without one data.pkl; is it a state dict by torch.save?")
            folder = pickles[0][: -len("data.pkl")]
            left = len(data)  # members are stored, not packed, so together they are no larger than the file

            def member(name):
                nonlocal left
                entry = archive.getinfo(name)
                left -= entry.file_size
                if entry.compress_type != zipfile.ZIP_STORED or left < 0:
                    raise WeightsError(f"the member '{name}' is packed or larger than the file; refused")
                return archive.read(entry)

            if folder + "byteorder" in archive.namelist() and member(folder + "byteorder") != b"little":
                raise WeightsError("a file of a big-endian machine")
            storages = Storages(lambda key, s: s.kind.read(member(f"{folder}data/{key}"), s.elements))
            return Machine(TORCH_FUNCTIONS, storages).load(io.BytesIO(member(pickles[0])))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, struct.error, RuntimeError) as error:
        raise WeightsError(f"a damaged zip archive ({error})") from error


def read_torch_legacy(data):
    stream = io.BytesIO(data)

    def load(persistent=None):
        return Machine(TORCH_FUNCTIONS, persistent).load(stream)

    if load() != LEGACY_MAGIC or load() != LEGACY_PROTOCOL:
        raise WeightsError("a legacy PyTorch file of an unknown version")
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("a file of a big-endian machine")
    storages = Storages()
    value, keys = load(storages), load()
    for key in keys if isinstance(keys, list) else []:
        storage = storages.by_key.get(key) if isinstance(key, str) else None
        count = stream.read(8)
        if storage is None or len(count) < 8 or struct.unpack("<q", count)[0] != storage.elements:
            raise WeightsError(f"the storage {key!r:.60} is unknown or damaged; is the file truncated?")
        raw = stream.read(storage.elements * storage.kind.dtype.itemsize)
        storage.numbers = storage.kind.read(raw, storage.elements)
    if any(storage.numbers is None for storage in storages.by_key.values()):
        raise WeightsError("a storage is missing; is the file truncated?")
    return value


def numbers_of(value):
    """The Array or TensorView that an entry of a state dict is, or None."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]  # paddle: (name, array)
    if isinstance(value, ArrayBuilder):
        value = value.made
    return value if isinstance(value, (Array, TensorView)) else None


def state_dict_of(value, most):
    """The dictionary of arrays in `value`, which training programs wrap in others; at most `most` numbers."""
    for _ in range(4):
        if not isinstance(value, dict):
            break
        inner = [value[key] for key in WRAPPERS if isinstance(value.get(key), dict) and value[key]]
        entries = {name: numbers_of(entry) for name, entry in value.items() if isinstance(name, str)}
        found = {name: numbers for name, numbers in entries.items() if numbers is not None}
        if found and not inner:
            if sum(numbers.elements for numbers in found.values()) > most:
                raise WeightsError("the tensors have more numbers than the file has bytes; refused")
            return {name: numbers.array() for name, numbers in found.items()}
        value = inner[0] if inner else None
    raise WeightsError("no state dict: expected a dictionary of arrays, or one under "
                       + ", ".join(f"'{key}'" for key in WRAPPERS))


def read_checkpoint(data):
    """The arrays of a file's bytes, floats as float32, and where they are from: "torch" or "paddle".
    Raises WeightsError."""
    if data.startswith(b"PK"):
        value, source = read_torch_zip(data), "torch"
    elif data[:1] != b"\x80":
        raise WeightsError("neither a zip archive nor a pickle; expected a .pth, .bin or .pdparams file")
    elif LEGACY_MAGIC.to_bytes(10, "little") in data[:32]:
        value, source = read_torch_legacy(data), "torch"
    else:
        value, source = Machine(NUMPY_FUNCTIONS).load(io.BytesIO(data)), "paddle"
    return state_dict_of(value, len(data)), source
