"""Small tokenizers of each kind, trained on the spot, and texts that find their differences.

For tokenizer_parity.py and make_tokenizer_cases.py. Needs: tokenizers, and sentencepiece for the compiled character map.
"""
import io
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
         r"|\s+")
CL100K = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
XLM_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

# Words of scripts that the data sets lack.
FOREIGN = ("Straße größer Überraschung naïve façade jalapeño año Ærø šťastný żółć ağaç İstanbul ışık Привет мир что это "
           "Ελλάδα είναι Σίσυφος שלום עולם السلام عليكم فارسی हिन्दी भाषा বাংলা ভাষা தமிழ் ไทย ภาษาไทย 中文字符 日本語の文章 "
           "カタカナ ひらがな 한국어 문장 ქართული հայերեն አማርኛ မြန်မာ ភាសាខ្មែរ Tiếng Việt ﬁne ﬂow ½ ² ①② ㎏ ｆｕｌｌ ℃ Ⅷ 🙂 👨‍👩‍👧 🇩🇪 é ñ "
           "don't it's WE'LL 'ſ can’t e\u0301 n\u0303 a\u0327\u0301 क्षि ක්‍ෂ").split()


def _texts_of(path):
    for file in sorted(pathlib.Path(path).rglob("*.jsonl")):
        for line in file.open(encoding="utf-8"):
            record = json.loads(line)
            yield from (record[key] for key in ("title", "text") if record.get(key))


def training_texts(folder, seed=17):
    draw = random.Random(seed)
    texts = list(_texts_of(folder)) if folder else []
    return texts + [" ".join(draw.choices(FOREIGN, k=12)) for _ in range(2000)]


def odd_texts(count, vocabulary, texts, seed):
    """Mixed languages, white space, marks in any order, code points of all planes, tokens of the vocabulary."""
    draw = random.Random(seed)
    odd = ["\u0096", "\ufffd", "\u00ad", "\u200b", "\u200d", "\u0301", "\u0327", "\u0323", "\u4e2d", "\u00e9", "\u0130",
           "\u03a3", "\u1734", "\uac00", "\u1100", "\u1161", "\U0001d15e", "\U0001f600", "\u2028", "\u00a0", "\u3000",
           "\t", "\r", "\v", "\f", "\x7f", "\x01", "\x85", "'", "'s", "'LL", "'\u017f", "-", "\u2014", "\u00a9", "\u2581",
           "  ", "   ", " ", " ", "\r\n", "\n", "\n\n", "1", "1234", "\u0663", "\u00bd", "[MASK]", "[mask]", "<mask>", "</s>",
           "<s>", "[SEP]", "[CLS", "[", "]", "##", "<0x0A>", "\u3099", "\u0345", "\u0653", "x" * 100, "y" * 101, "\u00e9" * 99,
           "\u0600", "\u110bd", "\U00011938", "\u0898", "\u1ac1", "\u08ca", "\u1dfa", "\U0001e000", "\u0f71\u0f72"]
    marks = [c for c in range(0x300, 0x20000) if 0xd800 > c or c >= 0xe000]
    import unicodedata
    marks = [c for c in marks if unicodedata.category(chr(c))[0] == "M"]
    for _ in range(count):
        kind = draw.random()
        if kind < 0.25 and texts:
            text = draw.choice(texts)
            start = draw.randrange(len(text))
            yield text[start:start + draw.randint(1, 300)]
            continue
        parts = []
        for _ in range(draw.randint(1, 14)):
            kind = draw.random()
            if kind < 0.3:
                parts.append(draw.choice(odd))
            elif kind < 0.5:
                parts.append(draw.choice(vocabulary))
            elif kind < 0.65:
                parts.append(draw.choice(FOREIGN))
            elif kind < 0.75:
                parts.append(chr(draw.choice([draw.randint(32, 0x24F), draw.randint(0x250, 0xD7FF),
                                              draw.randint(0xE000, 0x1FFFF), draw.randint(0x20000, 0x10FFFF)])))
            elif kind < 0.85:
                parts.append(draw.choice("aoue\u0915\u05d0") + "".join(chr(draw.choice(marks)) for _ in range(draw.randint(1, 4))))
            else:
                parts.append(" ")
        yield "".join(parts)


def _word_piece(texts, size, added=(), **normalizer):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=BERT_SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_tokens(list(added))
    return tokenizer


def _bytes(texts, size, normalizer=None, pre_tokenizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=XLM_SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def _split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _fallback(texts, size, normalizer, pre_tokenizer, fuse_unk=True):
    """Like Llama and Gemma: blanks are U+2581, unknown characters are bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=fuse_unk))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    specials = XLM_SPECIALS + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, limit_alphabet=100, show_progress=False)
    chunks = (t[i:i + 40] for t in texts for i in range(0, len(t), 40)) if pre_tokenizer is None else texts
    tokenizer.train_from_iterator(chunks, trainer)
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def _word_ends(texts, size):
    """Like CLIP and the first GPT: characters of a word carry marks."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=XLM_SPECIALS, limit_alphabet=60, show_progress=False,
        continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    return tokenizer


def _unigram(texts, size, normalizer=None, pre_tokenizer=None, byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    specials = XLM_SPECIALS + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    data = json.loads(tokenizer.to_str())
    data["model"]["byte_fallback"] = byte_fallback
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def _whole_text(tokenizer):
    """Makes a text one word; called after training, which would be slow with such long words."""
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    return tokenizer


def sentencepiece_model(texts, size):
    """The bytes of a Unigram model as XLM-R's sentencepiece.bpe.model: with its character map."""
    import sentencepiece
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(t[:1000] for t in texts), model_writer=out, vocab_size=size, model_type="unigram",
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False,  # few texts have fewer pieces
        minloglevel=2, num_threads=2)
    return out.getvalue()


def _charsmap(model):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    return proto.normalizer_spec.precompiled_charsmap


def kinds(texts, size=6000, spm=None):
    """Name → a function that makes the tokenizer. `spm`: bytes of sentencepiece_model()."""
    added = [AddedToken("Day one", single_word=True), AddedToken("<ent>", lstrip=True, rstrip=True, normalized=False),
             AddedToken("éa", normalized=True), AddedToken("##x", normalized=False), AddedToken("<<", lstrip=True)]
    space_to_meta = normalizers.Replace(" ", "\u2581")
    all_kinds = {
        "WordPiece uncased": lambda: _word_piece(texts, size),
        "WordPiece cased": lambda: _word_piece(texts, size, lowercase=False),
        "WordPiece accents kept": lambda: _word_piece(texts, size, strip_accents=False),
        "WordPiece cased, accents stripped": lambda: _word_piece(texts, size, lowercase=False, strip_accents=True),
        "WordPiece ideographs together": lambda: _word_piece(texts, size, handle_chinese_chars=False),
        "WordPiece not cleaned": lambda: _word_piece(texts, size, clean_text=False),
        "WordPiece with added tokens": lambda: _word_piece(texts, size, added),
        "BPE, GPT-2": lambda: _bytes(texts, size),
        "BPE, GPT-2, prefix space": lambda: _bytes(texts, size, None, pre_tokenizers.ByteLevel(add_prefix_space=True)),
        "BPE, Qwen2, NFC": lambda: _bytes(texts, size, normalizers.NFC(), _split(QWEN2)),
        "BPE, cl100k, ignore_merges": lambda: _bytes(texts, size, None, _split(CL100K), ignore_merges=True),
        "BPE, o200k (ICU)": lambda: _bytes(texts, size, None, _split(O200K)),
        "BPE, byte fallback, Metaspace first": lambda: _fallback(
            texts, size, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
        "BPE, byte fallback, Replace": lambda: _fallback(
            texts, size, space_to_meta, pre_tokenizers.Split(" ", "merged_with_previous")),
        "BPE, byte fallback, Prepend": lambda: _fallback(
            texts, size, normalizers.Sequence([normalizers.Prepend("\u2581"), space_to_meta]), None, fuse_unk=False),
        "BPE, word ends": lambda: _word_ends(texts, size),
        "Unigram, Metaspace": lambda: _unigram(texts, size),
        "Unigram, NFKC, digits, fallback": lambda: _unigram(
            texts, size, normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]),
            pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation(),
                                     pre_tokenizers.Metaspace()]), byte_fallback=True),
        "Unigram, NFKD, accents, Nmt": lambda: _unigram(
            texts, size, normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents(),
                                               normalizers.Replace(Regex(" {2,}"), " ")]),
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="never")])),
        "Unigram, Whitespace": lambda: _unigram(texts, size, None, pre_tokenizers.Whitespace()),
    }
    if spm is not None:
        all_kinds["Unigram, character map (XLM-R)"] = lambda: _unigram(
            texts, size, normalizers.Precompiled(_charsmap(spm)),
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))
        all_kinds["Unigram, character map, whole text"] = lambda: _whole_text(_unigram(
            texts, size, normalizers.Precompiled(_charsmap(spm)), pre_tokenizers.Metaspace()))
    return all_kinds
