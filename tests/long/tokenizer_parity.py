#!/usr/bin/env python3
"""Compares muster-tokenize with Hugging Face's tokenizers: code points, data, mixed languages, fuzzed Unicode.

usage: tokenizer_parity.py MUSTER_TOKENIZE [DATA_FOLDER] [--texts N] [--only WORD] [--vocab VOCAB_TXT]
  DATA_FOLDER   .jsonl files (title, text), on which tokenizers of each kind are trained on the spot; absent: random texts
  --texts       mixed and fuzzed texts per kind (100000)
  --only        kinds whose name holds the word
  --vocab       also BERT's own vocabulary, uncased and cased, with every code point
  --every       every code point with every kind; otherwise only every 97th of large blocks of similar ones
needs: tokenizers==0.23.3; sentencepiece and protobuf, without which kinds with a character map are left out

Prints per kind the texts that differ, and MB per second of processor time of both, with empty caches. Exit code 1 if a text
differs.
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from tokenizers import BertWordPieceTokenizer, Tokenizer  # noqa: E402

import tokenizer_kinds  # noqa: E402


def code_point_texts(every):
    """Every code point, or only every 97th of large blocks of similar ones."""
    for code in range(1, 0x110000):
        alike = 0x3500 <= code < 0x9F00 or 0xAC10 <= code < 0xF800 or code >= 0x20000
        if not 0xD800 <= code < 0xE000 and (every or not alike or code % 97 == 0):
            yield f"a{chr(code)}b the{chr(code)} {chr(code)}9 '{chr(code)}"


def ours(binary, path, arguments, texts, quiet=False):
    data = "".join(text + "\0" for text in texts).encode("utf-8")
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [binary, path, "null"] + (["count"] if quiet else []) + arguments
    out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out.decode().split("\n")[:-1], len(data), end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def differing(theirs, texts, found):
    if len(found) != len(texts):
        sys.exit(f"{len(found)} lines for {len(texts)} texts")
    differ = 0
    for begin in range(0, len(texts), 10_000):
        encoded = theirs.encode_batch(texts[begin:begin + 10_000], add_special_tokens=False)
        for text, expected, line in zip(texts[begin:], encoded, found[begin:]):
            if expected.ids != [int(i) for i in line.split()]:
                differ += 1
                if differ <= 3:
                    print(f"  {text!r}\n    expected {expected.ids} {expected.tokens}\n    found    {line}", flush=True)
    return differ


def speed(binary, path, arguments, fresh, texts):
    """MB per second of processor time of both on first sight, without the time to load."""
    _, _, loading = ours(binary, path, arguments, [""], quiet=True)
    _, size, seconds = ours(binary, path, arguments, texts, quiet=True)
    theirs = fresh()
    start = time.process_time()
    theirs.encode_batch_fast(texts, add_special_tokens=False)
    return size / 1e6 / max(seconds - loading, 1e-9), size / 1e6 / (time.process_time() - start)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("binary")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--vocab")
    parser.add_argument("--every", action="store_true", help="every code point for every kind")
    options = parser.parse_args()
    data = tokenizer_kinds.training_texts(options.data)
    spm = None
    try:
        spm = tokenizer_kinds.sentencepiece_model(data, 4000)
    except ImportError:
        print("left out: kinds with a character map, because sentencepiece is not installed")
    failed = False
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tokenizers-"))

    def compare(name, path, arguments, theirs, fresh, every):
        nonlocal failed
        vocabulary = sorted(theirs.get_vocab())
        odd = tokenizer_kinds.odd_texts(options.texts, vocabulary, data, seed=17)
        results = []
        for kind, texts in (("odd", odd), ("code points", code_point_texts(every)), ("data", data)):
            texts = [text.replace("\0", " ") for text in texts]
            found, _, _ = ours(options.binary, path, arguments, texts)
            differ = differing(theirs, texts, found)
            failed |= differ > 0
            results.append(f"{differ} of {len(texts)} {kind}")
        mine, other = speed(options.binary, path, arguments, fresh, data)
        print(f"{name}: {', '.join(results)} differ; {mine:.0f} MB/s, tokenizers {other:.1f}", flush=True)

    for name, make in tokenizer_kinds.kinds(data, spm=spm).items():
        if options.only not in name:
            continue
        path = str(folder / "tokenizer.json")
        make().save(path)
        compare(name, path, [], Tokenizer.from_file(path), lambda: Tokenizer.from_file(path),
                options.every)
    for cased in (False, True) if options.vocab else ():
        fresh = lambda: BertWordPieceTokenizer(options.vocab, lowercase=not cased)  # noqa: E731
        compare(f"BERT's vocabulary, {'cased' if cased else 'uncased'}", options.vocab, ["cased"] if cased else [], fresh(),
                fresh, True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
