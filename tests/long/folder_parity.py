#!/usr/bin/env python3
"""Model folders as the newest sentence-transformers and transformers save them, and as older versions did.

usage: folder_parity.py MUSTER_ENCODE
needs: requirements.txt in this folder and torch (requirements-torch.txt, or on the module path)

Small random models are made on the spot and saved in every layout below. muster-encode reads each one, embeds texts, and
exports it. Exit code 1 if an embedding differs from sentence-transformers' own by more than 1e-5, or if the export,
loaded by sentence-transformers and by transformers' AutoModel, differs by more than 1e-4. Ends with a table for
docs/reference/compatibility.md.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import sentence_transformers
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

WORDS = "the a red blue green fish bird river bridge cafe under over of and to in dense passage query model".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["the red fish under the bridge", "a blue bird over the river", "cafe of dense passage and query model",
         "to the river", "green " * 40]
READ_BOUND, EXPORT_BOUND = 1e-5, 1e-4


def save_tokenizer(folder, length=48):
    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                            sep_token="[SEP]", mask_token="[MASK]", model_max_length=length).save_pretrained(folder)
    return len(vocabulary)


def save_model(folder, make, dtype=torch.float32, **how):
    """Saves the model that `make` returns for the tokenizer's number of entries."""
    torch.manual_seed(7)
    model = make(save_tokenizer(folder))
    for parameter in model.parameters():  # biases and norms, too, so that mistakes in them show
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(folder, **how)


def save_bert(folder, cls=BertModel, hidden=32, rows=None, **how):
    save_model(folder, lambda entries: cls(BertConfig(
        vocab_size=rows or entries, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64)), **how)


def sentence_model(base, *modules, **options):
    return SentenceTransformer(modules=[Transformer(str(base)), *modules], device="cpu", **options)


def st6(folder, pooling="mean", dense=None, normalize=True, include_prompt=True, **options):
    base = folder.with_name(folder.name + ".base")
    save_bert(base)
    modules = [Pooling(32, pooling_mode=pooling, include_prompt=include_prompt)]
    if dense:
        modules.append(Dense(32, 24, activation_function=dense))
    if normalize:
        modules.append(Normalize())
    sentence_model(base, *modules, **options).save_pretrained(str(folder))


def write(folder, name, value):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def st2(folder, **how):
    save_bert(folder, **how)
    write_st2(folder, how.get("hidden", 32))


def family(folder, model_type, **sizes):
    """Another architecture, as transformers saves it."""
    config = {"max_position_embeddings": 64} | sizes
    if "dim" not in sizes:  # DistilBERT has its own names
        config |= {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    save_model(folder, lambda entries: AutoModel.from_config(AutoConfig.for_model(model_type, vocab_size=entries, **config)))
    write_st2(folder, 32)


def write_st2(folder, hidden):
    """The layout of sentence-transformers 2 to 5.3, with weights that transformers saves."""
    for file in ("modules", "1_Pooling/config", "sentence_bert_config", "config_sentence_transformers"):
        assert not (folder / f"{file}.json").exists()
    write(folder, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                                   for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"),
                                                                     ("2_Normalize", "Normalize")])])
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": hidden,
                                            "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
                                            "pooling_mode_max_tokens": False,
                                            "pooling_mode_mean_sqrt_len_tokens": False})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write(folder, "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0",
                                                                        "transformers": "4.6.1", "pytorch": "1.8.1"}})
    (folder / "2_Normalize").mkdir()


def class_paths(folder, form):
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers." + form.format(module["type"].rsplit(".", 1)[1])
    write(folder, "modules.json", modules)


def old_names(folder):
    st2(folder, cls=BertForMaskedLM)
    file = folder / "model.safetensors"
    tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
               for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})


def pickled_and_saved_again(folder):
    """Only pytorch_model.bin, and then the remedy that the refusal names, word for word."""
    st2(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    model = AutoModel.from_pretrained(str(folder))
    model.save_pretrained(str(folder))


CASES = {
    "sentence-transformers 6, mean": lambda f: st6(f),
    "sentence-transformers 6, cls": lambda f: st6(f, "cls"),
    "sentence-transformers 6, max": lambda f: st6(f, "max"),
    "sentence-transformers 6, mean_sqrt_len_tokens": lambda f: st6(f, "mean_sqrt_len_tokens"),
    "sentence-transformers 6, weightedmean": lambda f: st6(f, "weightedmean"),
    "sentence-transformers 6, lasttoken": lambda f: st6(f, "lasttoken"),
    "sentence-transformers 6, not normalized": lambda f: st6(f, normalize=False),
    "sentence-transformers 6, Dense with tanh": lambda f: st6(f, dense=torch.nn.Tanh()),
    "sentence-transformers 6, Dense without activation": lambda f: st6(f, dense=torch.nn.Identity()),
    "sentence-transformers 6, Dense with ReLU": lambda f: st6(f, dense=torch.nn.ReLU()),
    "sentence-transformers 6, Dense with GELU": lambda f: st6(f, dense=torch.nn.GELU()),
    "sentence-transformers 6, Dense with SiLU": lambda f: st6(f, dense=torch.nn.SiLU()),
    "sentence-transformers 6, Dense with sigmoid": lambda f: st6(f, dense=torch.nn.Sigmoid()),
    "sentence-transformers 6, prompts": lambda f: st6(f, prompts={"query": "query ", "document": "passage ",
                                                                  "clustering": "of "}),
    "sentence-transformers 6, default prompt": lambda f: st6(f, prompts={"query": "query "}, default_prompt_name="query"),
    "sentence-transformers 2": lambda f: st2(f),
    "sentence-transformers 4, class paths with files": lambda f: (st2(f), class_paths(f, "models.{0}.{0}")),
    "transformers 5, two heads of 26": lambda f: st2(f, hidden=52),
    "transformers 5, shards": lambda f: st2(f, max_shard_size="40KB"),
    "transformers 5, bfloat16": lambda f: st2(f, dtype=torch.bfloat16),
    "transformers 5, float16": lambda f: st2(f, dtype=torch.float16),
    "transformers 5, masked language model": lambda f: st2(f, cls=BertForMaskedLM),
    "transformers 5, padded rows": lambda f: st2(f, rows=64),
    "transformers 5, DistilBERT": lambda f: family(f, "distilbert", dim=32, n_layers=2, n_heads=2, hidden_dim=64),
    "transformers 5, RoBERTa": lambda f: family(f, "roberta", pad_token_id=0, max_position_embeddings=66,
                                                type_vocab_size=1),
    "transformers 5, XLM-RoBERTa": lambda f: family(f, "xlm-roberta", pad_token_id=0, max_position_embeddings=66,
                                                    type_vocab_size=1),
    "transformers 5, MPNet": lambda f: family(f, "mpnet", max_position_embeddings=66),
    "transformers 5, ModernBERT": lambda f: family(f, "modernbert", local_attention=16, pad_token_id=0, bos_token_id=2,
                                                   eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "transformers 5, Qwen3": lambda f: family(f, "qwen3", num_key_value_heads=1, head_dim=16),
    "LayerNorm.gamma and beta, prefix, heads": old_names,
    "pytorch_model.bin, saved again": pickled_and_saved_again,
}


def muster_encode(binary, folder, ids, *export):
    lines = "".join(" ".join(map(str, line)) + "\n" for line in ids)
    result = subprocess.run([binary, str(folder), *map(str, export)], input=lines, capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        return result.stderr.strip()
    return numpy.array([[float(x) for x in line.split()] for line in result.stdout.splitlines()], dtype=numpy.float32)


def difference(a, b):
    return float(numpy.abs(a - b).max()) if a.shape == b.shape else float("inf")


def check(binary, name, make, scratch):
    folder = scratch / "model"
    make(folder)
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    expected = model.encode(TEXTS, prompt="")
    ids = [[int(i) for i in row["input_ids"]] for row in
           (model.tokenizer(text, truncation=True, max_length=model.max_seq_length) for text in TEXTS)]
    exported = scratch / "export"
    ours = muster_encode(binary, folder, ids, exported, folder)
    if isinstance(ours, str):
        return name, ours, None
    again = SentenceTransformer(str(exported), device="cpu")
    kept = (again.prompts | {"passage": ""} == model.prompts | {"passage": ""} and
            again.default_prompt_name == model.default_prompt_name and again.max_seq_length == model.max_seq_length and
            again.tokenizer(TEXTS[2])["input_ids"] == model.tokenizer(TEXTS[2])["input_ids"])
    before = AutoModel.from_pretrained(str(folder), dtype=torch.float32).eval()
    after = AutoModel.from_pretrained(str(exported)).eval()
    with torch.no_grad():
        hidden = max(difference(*(m(input_ids=torch.tensor([row])).last_hidden_state.numpy() for m in (before, after)))
                     for row in ids)
    back = max(difference(again.encode(TEXTS, prompt=""), expected), hidden) if kept else float("inf")
    return name, difference(ours, expected), back


def main(binary):
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    passed, rows = True, []
    for name, make in CASES.items():
        with tempfile.TemporaryDirectory() as scratch:
            name, read, back = check(binary, name, make, pathlib.Path(scratch))
        good = back is not None and read <= READ_BOUND and back <= EXPORT_BOUND
        passed &= good
        rows.append(f"| {name} | {read if back is None else f'{read:.1e}'} | {'' if back is None else f'{back:.1e}'} |")
        print(rows[-1], "" if good else "  <-- FAILED", flush=True)
    print(f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}")
    return 0 if passed else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
