"""Torch files as trainings leave them: tensors, and beside them objects of all sorts. TorchFileTest reads them.

Writes src/test/resources/dev/longalign/io: side_data.pt (zip), side_data_legacy.pt (stream), both with the tensor
state_dict.weight = 0, 1, ..., 5 as f32 [2, 3], a complex one, and what a trainer keeps.

    python side_data.py             (torch 2.13, numpy 2)
"""
import argparse
import collections
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import random
import sys
import types
import uuid

import numpy as np
import torch

OUT = os.path.dirname(os.path.abspath(__file__)) + "/../resources/dev/longalign/io/"


def belongs(kind, module):
    """Makes a class one of a library that the reader of the file need not have."""
    parts = module.split(".")
    for i in range(len(parts)):
        name = ".".join(parts[: i + 1])
        sys.modules.setdefault(name, types.ModuleType(name))
    kind.__module__ = module
    setattr(sys.modules[module], kind.__name__, kind)
    return kind


def stranger(module, name):
    return belongs(type(name, (dict,), {}), module)


class Mode(enum.Enum):
    TRAIN = 1


belongs(Mode, "trainer.modes")

weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
named = torch.nn.Parameter(torch.ones(2))
named.note = "a tensor with an attribute of its own"
namespace = argparse.Namespace(lr=1e-4, when=datetime.date(2022, 8, 1))
content = {
    "state_dict": collections.OrderedDict(weight=weight, named=named, turned=weight.t()),
    "complex": torch.tensor([1 + 2j, 3j]),
    "best": np.float64(0.1),
    "numbers": np.arange(5),
    "rng": (np.random.get_state(), random.getstate(), torch.get_rng_state()),
    "when": datetime.datetime(2022, 8, 1, tzinfo=datetime.timezone.utc),
    "took": datetime.timedelta(seconds=3),
    "args": namespace,
    "config": stranger("omegaconf.dictconfig", "DictConfig")(model=stranger("somebody.models", "Net")()),
    "callbacks": {stranger("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"): {"score": 1.5}},
    "path": pathlib.PurePosixPath("/data"),
    "id": uuid.UUID(int=7),
    "exact": decimal.Decimal("1.5"),
    "half": fractions.Fraction(1, 2),
    "mode": Mode.TRAIN,
    "size": weight.shape,
    "seen": {3, 4},
    "frozen": frozenset([5]),
    "counts": collections.Counter("aab"),
    "default": collections.defaultdict(int, a=1),
    "queue": collections.deque([1, 2]),
    "layout": torch.strided,
    "dtype": torch.float8_e4m3fn,
    "device": torch.device("cpu"),
    "steps": {(0, "a"): 1, (1, "b"): 2},
    "bytes": b"abc",
    "array": bytearray(b"def"),
    "slice": slice(1, 2),
    "imaginary": 2j,
    "nothing": None,
    "big": 1 << 70,
}
torch.save(content, OUT + "side_data.pt")
torch.save(content, OUT + "side_data_legacy.pt", _use_new_zipfile_serialization=False)
torch.save(content, OUT + "side_data_protocol4.pt", pickle_protocol=4)
