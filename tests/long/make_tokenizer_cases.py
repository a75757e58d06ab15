#!/usr/bin/env python3
"""Writes coordinator/data/tokenize/tokenizer_cases.json: small tokenizers of each kind, texts, and the ids that Hugging
Face's tokenizers give. Texts are random; a run with the same versions writes the same file.

usage: make_tokenizer_cases.py OUT
needs: tokenizers==0.23.3, sentencepiece, protobuf
"""
import json
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tokenizer_kinds  # noqa: E402

# The replacements of a test character map, by code points in hexadecimal: from, to.
RULES = [("FF21", "41"), ("FB01", "66 69"), ("61 301", "E1"), ("65 301", "E9"), ("2160", "49"), ("A0", "20"), ("9", "20"),
         ("AD", ""), ("200B", ""), ("1F600", "3A 29"), ("D A", "20"), ("AC00", "1100 1161"), ("915 93C", "958")]


def random_words(draw, count):
    syllables = ["ka", "to", "mi", "re", "su", "lo", "né", "vü", "ße", "да", "ко", "λο", "语", "नि", "ق"]
    return ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(count)]


def small_character_map(texts):
    import io
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES:
            rules.write(f"{source}\t{target}\n")
        rules.flush()
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=out, vocab_size=120, hard_vocab_limit=False,
            model_type="unigram", normalization_rule_tsv=rules.name, minloglevel=2, num_threads=1)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    return out.getvalue(), proto


def main():
    draw = random.Random(17)
    words = random_words(draw, 400)
    texts = [" ".join(draw.choices(words, k=10)) + draw.choice([".", "!", "?", " 42", "'s", ""]) for _ in range(400)]
    spm, _ = small_character_map(texts)
    cases = []
    for name, make in tokenizer_kinds.kinds(texts, size=420, spm=spm).items():
        tokenizer = make()
        vocabulary = sorted(tokenizer.get_vocab())
        odd = list(tokenizer_kinds.odd_texts(40, vocabulary, texts, seed=17)) + ["", " ", "  a", "a  ", "\n"]
        encoded = [tokenizer.encode(text) for text in odd]
        cases.append({"name": name, "tokenizer": json.loads(tokenizer.to_str()), "texts": odd,
                      "ids": [e.ids for e in encoded]})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(cases, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
