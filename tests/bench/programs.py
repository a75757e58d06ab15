"""Starts Muster and sentence-transformers on the same batches, for the benchmarks."""
import json
import pathlib
import shutil
import subprocess

from tokenizers import Tokenizer

from turns import BIN, MINILM, PARITY, Child


def base_folder(scratch):
    """BERT-base's shape with random weights, in the layout of the MiniLM folder."""
    folder = scratch / "base"
    if folder.exists():
        return folder
    shutil.copytree(MINILM, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    (folder / "config.json").write_text(json.dumps(config))
    pooling = json.loads((folder / "1_Pooling/config.json").read_text())
    pooling["word_embedding_dimension"] = 768
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    code = ("import sys, torch; from transformers import AutoConfig, BertModel; torch.manual_seed(1); "
            "BertModel(AutoConfig.from_pretrained(sys.argv[1])).save_pretrained(sys.argv[1])")
    subprocess.run([str(PARITY), "-c", code, str(folder)], check=True, stderr=subprocess.DEVNULL)
    return folder


def token_batches(batches, length):
    tokenizer = Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    ids = lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(texts)]  # noqa: E731
    return [{"queries": ids(batch["queries"]), "passages": ids(batch["passages"]), "positives": batch["positives"]}
            for batch in batches]


def job(length, dropout, queries, precision):
    return (f'model {{ from: "m" dropout: {dropout} max_length {{ query: {length} passage: {length} }} }} '
            f"loss {{ objective: OBJECTIVE_JOINTLH temperature: 0.05 }} batch {{ queries: {queries} }} "
            f"optimizer {{ learning_rate: 2e-5 }} precision: PRECISION_{precision.upper()} "
            "resources { device: DEVICE_CPU } seed: 17")


def start_muster(scratch, batches, length, dropout=0.0, model=MINILM, threads=2, precision="fp32", options=()):
    tokens = scratch / "tokens.json"
    tokens.write_text(json.dumps({"batches": token_batches(batches, length)}))
    # muster-worker sets this variable for its ranks (docs/reference/worker.md).
    return Child([BIN / "muster-train-bench", "--model", model, "--steps", tokens, "--threads", threads, "--spec",
                  job(length, dropout, len(batches[0]["queries"]), precision), *options], OMP_WAIT_POLICY="passive")


def start_peer(scratch, batches, length, dropout=0.0, model=MINILM, threads=2, loss="mnrl"):
    texts = scratch / "texts.json"
    texts.write_text(json.dumps({"batches": batches}))
    return Child([PARITY, pathlib.Path(__file__).with_name("peer.py"), model, texts, "--loss", loss, "--dropout", dropout,
                  "--length", length, "--threads", threads])
