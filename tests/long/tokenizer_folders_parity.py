#!/usr/bin/env python3
"""Compares muster-tokenize with transformers on model folders: which file counts, and what tokenizer_config.json changes.

usage: tokenizer_folders_parity.py MUSTER_TOKENIZE [DATA_FOLDER] [--texts N] [--only WORD]
needs: transformers==5.23, tokenizers, sentencepiece, protobuf

Prints per folder the texts that differ. Exit code 1 if one does.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tokenizer_kinds  # noqa: E402


def folders(data, spm):
    """Name → (model_type, file name, bytes, tokenizer_config.json)."""
    kinds = tokenizer_kinds.kinds(data, size=4000, spm=spm)
    made = {}

    def file_of(name):
        if name not in made:
            made[name] = kinds[name]().to_str().encode()
        return made[name]

    vocabulary = json.loads(file_of("WordPiece cased"))["model"]["vocab"]
    vocab_txt = "".join(t + "\n" for t in sorted(vocabulary, key=vocabulary.get)).encode()
    specials = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
                "mask_token": "[MASK]"}
    cased, fast = "WordPiece cased", {"tokenizer_class": "PreTrainedTokenizerFast"}
    for name in ("BertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer"):
        kind = {"BertTokenizer": "bert", "DistilBertTokenizerFast": "distilbert", "ElectraTokenizer": "electra"}[name]
        for flags in ({}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}):
            yield (f"{name} {flags}", kind, "tokenizer.json", file_of(cased), {"tokenizer_class": name, **specials, **flags})
    yield "fast class, cased file", "bert", "tokenizer.json", file_of(cased), fast
    yield "fast class, special tokens", "bert", "tokenizer.json", file_of(cased), {**fast, "mask_token": "the", **specials}
    specials |= {"bos_token": "[CLS]", "eos_token": "[SEP]"}  # MPNet's own names would be new tokens
    for name in ("SqueezeBertTokenizer", "LayoutLMTokenizer", "LxmertTokenizerFast", "MPNetTokenizer", "MyOwnTokenizer",
                 "PreTrainedTokenizer"):
        yield f"{name}, cased file", "bert", "tokenizer.json", file_of(cased), {"tokenizer_class": name, **specials}
    for kind in ("bert", "distilbert", "mpnet", "electra", "modernbert"):
        for flags in ({}, {"tokenizer_class": None}, {"do_lower_case": False}, {"strip_accents": False}):
            yield f"no class, {kind} {flags}", kind, "tokenizer.json", file_of(cased), {**specials, **flags}
        yield (f"BertTokenizer, {kind}", kind, "tokenizer.json", file_of(cased), {"tokenizer_class": "BertTokenizer", **specials})
    for key in ("clean_text", "lowercase", "handle_chinese_chars"):
        for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
            yield (f"{name} {key}", "bert", "tokenizer.json", file_of("WordPiece uncased"),
                   {"tokenizer_class": name, key: False, **specials})
    for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        yield (f"{name}, added tokens", "bert", "tokenizer.json", file_of("WordPiece with added tokens"),
               {"tokenizer_class": name, **specials})
        yield (f"{name}, not cleaned", "bert", "tokenizer.json", file_of("WordPiece not cleaned"),
               {"tokenizer_class": name, **specials})
    for flags in ({}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}):
        yield f"vocab.txt {flags}", "bert", "vocab.txt", vocab_txt, {"tokenizer_class": "BertTokenizer", **specials, **flags}
    xlm = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
           "pad_token": "<pad>", "mask_token": "<mask>"}
    for flags in ({}, {"add_prefix_space": True}):
        yield (f"RobertaTokenizer {flags}", "roberta", "tokenizer.json", file_of("BPE, GPT-2"),
               {"tokenizer_class": "RobertaTokenizer", **xlm, **flags})
    for name in ("BartTokenizer", "GPT2Tokenizer", "LEDTokenizerFast", "PreTrainedTokenizerFast", None):
        yield (f"{name}, roberta", "roberta", "tokenizer.json", file_of("BPE, GPT-2, prefix space"),
               {"tokenizer_class": name, **xlm})
    # Names its special tokens; otherwise the class would add those that it expects and that these small vocabularies
    # lack.
    qwen = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "</s>"}
    yield ("no class, qwen3", "qwen3", "tokenizer.json", file_of("BPE, GPT-2"), qwen)
    yield ("no class, xlm-roberta", "xlm-roberta", "tokenizer.json", file_of("Unigram, character map, whole text"), xlm)
    yield ("Qwen2Tokenizer", "qwen3", "tokenizer.json", file_of("BPE, Qwen2, NFC"),
           {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, **qwen})
    yield ("XLMRobertaTokenizer", "xlm-roberta", "tokenizer.json", file_of("Unigram, character map, whole text"),
           {"tokenizer_class": "XLMRobertaTokenizer", **xlm})
    yield ("sentencepiece.bpe.model", "xlm-roberta", "sentencepiece.bpe.model", spm,
           {"tokenizer_class": "XLMRobertaTokenizer", **xlm})


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("binary")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--only", default="", help="folders whose name holds the word")
    options = parser.parse_args()
    import transformers
    data = tokenizer_kinds.training_texts(options.data)
    spm = tokenizer_kinds.sentencepiece_model(data, 4000)
    failed = False
    for name, model_type, file, content, config in folders(data, spm):
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / file).write_bytes(content)
            (path / "tokenizer_config.json").write_text(json.dumps(config))
            (path / "config.json").write_text(json.dumps({"model_type": model_type}))
            theirs = transformers.AutoTokenizer.from_pretrained(folder)
            vocabulary = sorted(theirs.get_vocab())
            texts = [t.replace("\0", " ") for t in tokenizer_kinds.odd_texts(options.texts, vocabulary, data, seed=17)]
            out = subprocess.run([options.binary, folder, "null"], input="".join(t + "\0" for t in texts).encode(),
                                 stdout=subprocess.PIPE)
        if out.returncode != 0:
            print(f"{name}: refused")
            failed = True
            continue
        lines = out.stdout.decode().split("\n")[:-1]
        expected = theirs(texts, add_special_tokens=False)["input_ids"]
        differ = [(t, e, line) for t, e, line in zip(texts, expected, lines) if e != [int(i) for i in line.split()]]
        failed |= bool(differ) or len(lines) != len(texts)
        print(f"{name}: {len(differ)} of {len(texts)} differ", flush=True)
        for text, ids, line in differ[:2]:
            print(f"  {text!r}\n    expected {ids}\n    found    {line}")
    print(f"transformers {transformers.__version__}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
