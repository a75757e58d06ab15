#!/usr/bin/env python3
"""The whole path per architecture: what the newest sentence-transformers saves is pushed, trained, exported and reloaded.

needs: requirements.txt in this folder and torch (requirements-torch.txt, or on the module path); MUSTER_BIN

Per family a small random model with a tokenizer of the family's own class, trained on the spot, is saved by
sentence-transformers with prompts, pushed, and trained for a few steps. The figures that the job reports before and after
training must be those that sentence-transformers computes with the saved folder and with the export.
"""
import json
import math
import os
import pathlib
import sys
import unittest

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.base.modules import Normalize, Transformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402

import tokenizer_kinds  # noqa: E402
from cluster import WORDS, Cluster, write_topics  # noqa: E402

VOCABULARY, LENGTH = 300, 40
PROMPTS = {"query": "query: ", "document": "passage: "}
BERT = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), tokenizer_kinds.BERT_SPECIALS))
ROBERTA = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
           "pad_token": "<pad>", "mask_token": "<mask>"}
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
         "max_position_embeddings": 64}
FIRST = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
OFFSET = {**SIZES, **FIRST, "max_position_embeddings": 66, "type_vocab_size": 1}


def training_texts():
    words = [" ".join(words) for words in WORDS.values()] * 50
    return words + ["query: passage:"] * 50 + tokenizer_kinds.training_texts(None)[:300]


def mpnet_tokenizer(texts):
    """WordPiece with RoBERTa's special tokens and order."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], show_progress=False))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def kind(name):
    def make(texts):
        spm = tokenizer_kinds.sentencepiece_model(texts, VOCABULARY) if "character map" in name else None
        return tokenizer_kinds.kinds(texts, size=VOCABULARY, spm=spm)[name]()
    return make


# Family → model_type, tokenizer, tokenizer_config.json, config.json, pooling, the job's settings of its model.
FAMILIES = {
    "BERT": ("bert", kind("WordPiece uncased"), {"tokenizer_class": "BertTokenizer", **BERT}, SIZES, "mean", {}),
    "DistilBERT": ("distilbert", kind("WordPiece cased"),
                   {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": False, **BERT},
                   {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}, "cls", {}),
    "RoBERTa": ("roberta", kind("BPE, GPT-2"), {"tokenizer_class": "RobertaTokenizer", **ROBERTA}, OFFSET, "mean", {}),
    "XLM-RoBERTa": ("xlm-roberta", kind("Unigram, character map, whole text"),
                    {"tokenizer_class": "XLMRobertaTokenizer", **ROBERTA}, OFFSET, "cls", {}),
    "MPNet": ("mpnet", mpnet_tokenizer, {"tokenizer_class": "MPNetTokenizer", **ROBERTA, "unk_token": "[UNK]"},
              {**SIZES, **FIRST, "max_position_embeddings": 66}, "mean", {}),
    "ModernBERT": ("modernbert", kind("BPE, GPT-2"), {"tokenizer_class": "PreTrainedTokenizerFast", **ROBERTA},
                   {**SIZES, **FIRST, "cls_token_id": 0, "sep_token_id": 2, "local_attention": 8}, "mean", {}),
    "Qwen3": ("qwen3", kind("BPE, Qwen2, NFC"),
              {"tokenizer_class": "Qwen2Tokenizer", "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
              {**SIZES, **FIRST, "num_key_value_heads": 1, "head_dim": 16}, "lasttoken", {}),
    "Qwen3 with LoRA": ("qwen3", kind("BPE, Qwen2, NFC"),
                        {"tokenizer_class": "Qwen2Tokenizer", "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
                        {**SIZES, **FIRST, "num_key_value_heads": 1, "head_dim": 16}, "lasttoken",
                        {"lora": {"rank": 4, "alpha": 16}}),
}


def save(folder, texts, model_type, make_tokenizer, tokenizer_config, config, pooling):
    base = folder.with_name(folder.name + ".base")
    base.mkdir(parents=True)
    tokenizer = make_tokenizer(texts)
    tokenizer.save(str(base / "tokenizer.json"))
    (base / "tokenizer_config.json").write_text(json.dumps({**tokenizer_config, "model_max_length": LENGTH}))
    torch.manual_seed(7)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, vocab_size=tokenizer.get_vocab_size(), **config))
    for parameter in model.parameters():  # biases and norms, too, so that mistakes in them show
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(base)
    SentenceTransformer(modules=[Transformer(str(base)), Pooling(32, pooling_mode=pooling), Normalize()], device="cpu",
                        prompts=PROMPTS).save_pretrained(str(folder))


def ndcg(folder, data):
    """nDCG@10 of the split test, whose judgments are all of grade 1."""
    model = SentenceTransformer(str(folder), device="cpu")
    read = lambda name: {r["_id"]: r["text"] for r in map(json.loads, (data / name).read_text().splitlines())}
    corpus, queries, relevant = read("corpus.jsonl"), read("queries.jsonl"), {}
    for line in (data / "qrels/test.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant.setdefault(query, set()).add(document)
    scores = model.encode_query([queries[q] for q in relevant]) @ model.encode_document(list(corpus.values())).T
    total = 0
    for row, wanted in zip(scores, relevant.values()):
        ranked = sorted(zip(row.tolist(), corpus), reverse=True)[:10]
        gains = [1 / math.log2(place + 2) for place in range(10)]
        total += sum(g for g, (_, d) in zip(gains, ranked) if d in wanted) / sum(gains[:len(wanted)])
    return total / len(relevant)


class Architectures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}")
        cls.cluster = Cluster(slots=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.data = write_topics(cls.cluster.folder / "topics")
        cls.cluster.ok("data", "import", "topics", cls.data)
        cls.texts = training_texts()

    def whole_path(self, name, model_type, tokenizer, tokenizer_config, config, pooling, of_model):
        cluster, short = self.cluster, name.lower().replace(" ", "-")
        folder, exported = cluster.folder / short, cluster.folder / f"{short}-exported"
        save(folder, self.texts, model_type, tokenizer, tokenizer_config, config, pooling)
        cluster.ok("models", "push", short, folder)
        job = cluster.folder / f"{short}.json"
        job.write_text(json.dumps({
            "name": short, "model": {"from": short, "max_length": {"query": LENGTH, "passage": LENGTH}, **of_model},
            "data": {"train": "topics"}, "optimizer": {"learning_rate": 0.005}, "duration": {"steps": 8},
            "report": {"dataset": "topics"}, "resources": {"device": "cpu", "threads": 1}}))
        done = cluster.ok("submit", job, "--wait", "--output", "json").json()
        cluster.ok("export", done["id"], exported)
        self.assertEqual("| low-rank adaptation | rank 4, alpha 16 |" in (exported / "README.md").read_text(), "lora" in of_model)
        reported = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
        theirs = {"untrained": ndcg(folder, self.data), "trained": ndcg(exported, self.data)}
        print(f"{name}: ndcg@10 {reported}, of sentence-transformers {theirs}", flush=True)
        for label, figure in theirs.items():
            self.assertAlmostEqual(reported[label], figure, places=4, msg=label)
        self.assertNotEqual(reported["trained"], reported["untrained"], "it was trained")

    def test_every_family_is_trained_and_exported_in_its_own_format(self):
        for name, how in FAMILIES.items():
            with self.subTest(name):
                self.whole_path(name, *how)


if __name__ == "__main__":
    unittest.main(verbosity=2)
