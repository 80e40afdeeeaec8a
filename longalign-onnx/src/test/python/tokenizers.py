"""Writes src/test/resources/dev/longalign/onnx/tokenizer/oracle.json.gz: random texts and the ids that transformers gives.

Tokenizers are made of the small ones in longalign-api's golden vectors: each variant says what of their files it replaces
("..." stands for what was there). Made with transformers 4.57.6, tokenizers 0.22.2 and ftfy 6.3.1.
Usage: python src/test/python/tokenizers.py [DIRECTORY]; with a directory, which has a whole tokenizer of its own, and a kind
(t5, fast or slow), a number and a seed it prints that many texts and ids, a JSON list a line.
"""

import gzip
import json
import pathlib
import random
import shutil
import sys
import tempfile

sys.path.pop(0)  # this file is called like what it imports
from transformers import CLIPTokenizer, CLIPTokenizerFast, T5TokenizerFast

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parents[3] / "longalign-api/src/test/golden/models/tiny-longsd"
OUT = HERE.parent / "resources/dev/longalign/onnx/tokenizer/oracle.json.gz"
KINDS = {"t5": T5TokenizerFast, "fast": CLIPTokenizerFast, "slow": CLIPTokenizer}

WORDS = [
    "a red circle", "The quick brown fox, jumps over  the lazy dog.", "\u00c9t\u00e9 na\u00efve caf\u00e9", "don't we'll I'm they're",
    "3.14159 1,000,000", "e\u0301\u0316", "\u0915\u094d\u0937\u093f", "\u0627\u0644\u0644\u0651\u0647 \ufefb \ufdfa", "\uff21\uff22\uff43\uff11\uff12",
    "\uff76\uff9e\uff77\uff9f", "\u2460\u2461\u00bd\u2122\u2126\u212b", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1eb",
    "\u2764\ufe0f", "\u00a9\u200d\u00ae", "\u1100\u1161\u11a8\uac00", "\x00", "\r\n", "\t", "\u2028", "\u00a0", "\u3000", "\u200b", "\u200d",
    "\ufeff", "\u2581", "\u00aa\u0301", "\u00a8", "\u0958\u0301", "\u0915\u094d\u0958\u0301", "\u0600a", "\u06dd\u0661", "\u00b5\u0308\u0301", "\ufffd",
    "\u0345", "\u03a3\u03a3 \u03c3\u03c2", "\u0130I\u0131i", "\u1e9e\u00df", "\ua7ce\ua7dc\U00010d50", "\U00016ea0", "\U00011935\U00011930", "\U000105d2\u0307",
    "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_99> ", "<extra_id_100>", "<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<red-toy>",
    "<RED-TOY>", "toy", "sks", "[MASK]", "word", "\u4e2d\u6587\u5b57\u7b26", "\u3053\u3093\u306b\u3061\u306f", "\ud55c\uad6d\uc5b4", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u041f\u0440\u0438\u0432\u0435\u0442", "\u03b3\u03b5\u03b9\u03ac",
]
BLOCKS = (
    [(0, 0x7F)] * 6 + [(0x80, 0x24F)] * 4 + [(0x300, 0x36F)] * 3
    + [(0x370, 0x5FF), (0x600, 0x8FF), (0x600, 0x6FF), (0x900, 0xDFF), (0x900, 0x9FF), (0xE00, 0xFFF), (0x1000, 0x13FF), (0x1400, 0x1CFF),
       (0x1D00, 0x1FFF), (0x1AB0, 0x1AFF), (0x2000, 0x206F), (0x2000, 0x2BFF), (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xABFF),
       (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFFF), (0xFF00, 0xFFEF), (0x10000, 0x11FFF), (0x12000, 0x16FFF),
       (0x1D100, 0x1D7FF), (0x1E000, 0x1EFFF), (0x1F000, 0x1FAFF), (0x20000, 0x2FFFF), (0xE0000, 0xE01FF), (0, 0x10FFFF)]
)
MARKS = [0x300, 0x301, 0x308, 0x316, 0x323, 0x327, 0x334, 0x345, 0x93C, 0x94D, 0x9BC, 0x3099, 0x309A, 0x1ABF, 0x10D24, 0x200D, 0xFE0F, 0x5B0,
         0x64B, 0x651, 0xE48, 0xEB8]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def character(r):
    while True:
        c = r.randint(*r.choice(BLOCKS))
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def text(r):
    parts = []
    for _ in range(r.choice([1, 1, 2, 3, 5, 8, 13])):
        kind = r.random()
        if kind < 0.35:
            parts.append(r.choice(WORDS))
        elif kind < 0.6:
            parts.append("".join(character(r) for _ in range(r.randint(1, 8))))
        elif kind < 0.75:
            parts.append("".join(chr(r.choice(MARKS)) if r.random() < 0.5 else character(r) for _ in range(r.randint(2, 7))))
        elif kind < 0.9:
            parts.append("".join(r.choice(LETTERS) for _ in range(r.randint(1, 12))))
        elif kind < 0.97:
            parts.append(r.choice([" ", "  ", "   ", "\n", "\t ", ". ", "-", "!?", "\u2581"]))
        else:
            parts.append(r.choice(WORDS) * r.randint(2, 30))
        if r.random() < 0.5:
            parts.append(" " * r.choice([1, 1, 1, 2, 3]))
    return "".join(parts)


def newer():
    """Characters about which Python's and Java's Unicode differ: the slow tokenizer takes whichever is there."""
    table = HERE.parents[1] / "main/resources/dev/longalign/onnx/tokenizer/newer-characters.txt"
    ranges = [r.split("-") for line in table.read_text().split("\n") if line and line[0] != "#" for r in line[2:].split()]
    return {chr(c) for r in ranges for c in range(int(r[0], 16), int(r[-1], 16) + 1)}


def added(content, id, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False, **flags}


def by_id(tokens):
    return {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}


MARK = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
PARTS = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {**MARK, "prepend_scheme": "first"}]}
MAP = "..."  # the Precompiled normalizer of the file
TRIM = [{"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]
NEW = {"type": "Sequence", "normalizers": [MAP, *TRIM]}


def tokens(first):
    return [added("<red-toy>", first), added("toy", first + 1, single_word=True, normalized=False),
            added("[MASK]", first + 2, lstrip=True, special=True, normalized=False), added("\uff21x", first + 3, rstrip=True),
            added("word", first + 4, lstrip=True, rstrip=True, normalized=False), added("sks", first + 5, single_word=True),
            added("a red", first + 6)]


CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_json(pattern, more):
    """A CLIP tokenizer.json but for its model, which the test makes of vocab.json and merges.txt."""
    return {
        "version": "1.0",
        "added_tokens": [added("<|startoftext|>", 1212, special=True), added("<|endoftext|>", 1213, special=True, normalized=False), *more],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                                                           {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 1213], "cls": ["<|startoftext|>", 1212],
                           "trim_offsets": False, "add_prefix_space": False},
    }


VARIANTS = {
    "t5": ("t5", {}, 800),
    "t5 from spiece.model": ("t5", {"tokenizer.json": None, "tokenizer_config.json": None, "special_tokens_map.json": None}, 200),
    "t5, marks alone": ("t5", {"tokenizer.json": {"pre_tokenizer": MARK}}, 200),
    "t5, newer": ("t5", {"tokenizer.json": {"pre_tokenizer": MARK, "normalizer": NEW}}, 200),
    "t5, not legacy": ("t5", {"tokenizer.json": {"pre_tokenizer": {**MARK, "prepend_scheme": "first"}, "normalizer": NEW}}, 300),
    "t5, words, not legacy": ("t5", {"tokenizer.json": {"pre_tokenizer": PARTS}}, 300),
    "t5, stripped before": ("t5", {"tokenizer.json": {"pre_tokenizer": {**MARK, "prepend_scheme": "first"}, "normalizer": {
        "type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": True}, MAP]}}}, 200),
    "t5, no marks, no map": ("t5", {"tokenizer.json": {"pre_tokenizer": {**MARK, "prepend_scheme": "never", "split": False},
                                                        "normalizer": None}}, 200),
    "t5, replaced": ("t5", {"tokenizer.json": {"pre_tokenizer": None, "normalizer": {
        "type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}}}, 200),
    "t5, added tokens": ("t5", {"tokenizer.json": {"added_tokens": ["...", *tokens(699)]}}, 500),
    "t5, added tokens, newer": ("t5", {"tokenizer.json": {"added_tokens": ["...", *tokens(699)], "pre_tokenizer": MARK, "normalizer": NEW}}, 300),
    "t5, added tokens of the config": ("t5", {"tokenizer_config.json": {"added_tokens_decoder": by_id(
        [added("<pad>", 0, lstrip=True, rstrip=True), *tokens(699)])}}, 300),
    "t5, added_tokens.json": ("t5", {"tokenizer_config.json": {"added_tokens_decoder": None},
                                      "added_tokens.json": {"<red-toy>": 699, "sks": 700}}, 200),
    "fast": ("fast", {}, 500),
    "fast, tokenizer.json": ("fast", {"tokenizer.json": clip_json(CLIP_WORDS, [])}, 300),
    "fast, transformers 5": ("fast", {"tokenizer.json": clip_json(r"<\|startoftext\|>|<\|endoftext\|>|" + CLIP_WORDS, tokens(1214)),
                                       "tokenizer_config.json": {"added_tokens_decoder": None}}, 500),
    "fast, added tokens of the config": ("fast", {"tokenizer_config.json": {"added_tokens_decoder": {"...": 0, **by_id(tokens(1214))}}}, 300),
    "fast, added_tokens.json": ("fast", {"tokenizer_config.json": {"added_tokens_decoder": None},
                                          "added_tokens.json": {"<red-toy>": 1214, "sks": 1215}}, 200),
    "slow, added tokens of the config": ("slow", {"tokenizer_config.json": {"added_tokens_decoder": {"...": 0, **by_id(tokens(1214))}}}, 300),
    "slow, added_tokens.json": ("slow", {"tokenizer_config.json": {"added_tokens_decoder": None},
                                          "added_tokens.json": {"<red-toy>": 1214, "sks": 1215, "[MASK]": 1216}}, 300),
    "slow, more special tokens": ("slow", {"tokenizer_config.json": {"additional_special_tokens": ["<red-toy>", "toy"]}}, 200),
}


def merged(old, new):
    """Replaces members; "..." stands for the old value among others."""
    result = dict(old)
    for key, value in new.items():
        if isinstance(value, list) and value and value[0] == "...":
            value = old.get(key, []) + value[1:]
        elif isinstance(value, dict) and "..." in value:
            value = {**old.get(key, {}), **{k: v for k, v in value.items() if k != "..."}}
        result[key] = value
        if value is None and key == "added_tokens_decoder":
            del result[key]
    return result


def build(kind, changes, folder):
    shutil.copytree(GOLDEN / ("t5" if kind == "t5" else "tokenizer"), folder)
    for name, change in changes.items():
        file = folder / name
        if change is None:
            file.unlink(missing_ok=True)
            continue
        content = merged(json.loads(file.read_text()) if file.exists() else {}, change)
        if name == "tokenizer.json" and kind == "t5":
            old = json.loads((GOLDEN / "t5/tokenizer.json").read_text())["normalizer"]
            if isinstance(content["normalizer"], dict) and "normalizers" in content["normalizer"]:
                content["normalizer"]["normalizers"] = [old if n == MAP else n for n in content["normalizer"]["normalizers"]]
        elif name == "tokenizer.json":
            merges = [line.split() for line in (folder / "merges.txt").read_text().split("\n")[1:] if line]
            content["model"] = {"type": "BPE", "dropout": None, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
                                "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                                "vocab": json.loads((folder / "vocab.json").read_text()), "merges": merges}
        file.write_text(json.dumps(content))
    return KINDS[kind].from_pretrained(folder)


def main():
    if len(sys.argv) > 1:
        tokenizer = KINDS[sys.argv[2]].from_pretrained(sys.argv[1])
        r = random.Random(int(sys.argv[4]))
        for _ in range(int(sys.argv[3])):
            x = text(r)
            print(json.dumps([x, tokenizer.encode(x)]))
        return
    out = {"versions": {"transformers": "4.57.6", "tokenizers": "0.22.2", "ftfy": "6.3.1"}, "variants": []}
    unsure = newer()
    for number, (name, (kind, changes, count)) in enumerate(VARIANTS.items()):
        r = random.Random(number)
        with tempfile.TemporaryDirectory() as temporary:
            tokenizer = build(kind, json.loads(json.dumps(changes)), pathlib.Path(temporary) / "tokenizer")
            texts = [text(r) for _ in range(count)]
            if kind == "slow":
                texts = ["".join(c for c in x if c not in unsure) for x in texts]
            cases = [[x, tokenizer.encode(x)] for x in texts if len(x) < 400]
        out["variants"].append({"name": name, "kind": kind, "changes": changes, "cases": cases})
        print(name, len(cases))
    data = json.dumps(out, separators=(",", ":")).encode()
    with open(OUT, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed:
        packed.write(data)
    print(len(data), OUT.stat().st_size)


if __name__ == "__main__":
    main()
