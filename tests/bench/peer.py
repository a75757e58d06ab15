"""sentence-transformers as a long-lived child of training.py and encoding.py: one command per line, one JSON line back.

usage: peer.py MODEL BATCHES_JSON --loss mnrl|cached --dropout P --length TOKENS --threads N
  step B     one update on the pairs of batch B: seconds, pairs, tokens (real and padded), loss
  encode B   encode() of the batch's queries and passages, 32 at once: seconds, and of them the tokenizer's

The update is SentenceTransformerTrainer's without its bookkeeping: loss, backward, clipping to 1, fused AdamW. Texts are
tokenized beforehand.
"""
import argparse
import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer import losses  # noqa: E402

import sets  # noqa: E402


class Peer:
    def __init__(self, options):
        torch.set_num_threads(options.threads)
        torch.manual_seed(17)
        transformers.utils.logging.disable_progress_bar()
        dropout = {"hidden_dropout_prob": options.dropout, "attention_probs_dropout_prob": options.dropout}
        self.model = SentenceTransformer(options.model, device="cpu", config_kwargs=dropout, local_files_only=True)
        self.model.max_seq_length = options.length
        # Flattened inputs need flash attention, which no CPU has: then this stays False, and inputs are padded.
        self.unpadded = bool(self.model[0].can_flatten_inputs)
        kinds = {"mnrl": losses.MultipleNegativesRankingLoss, "cached": losses.CachedMultipleNegativesRankingLoss}
        self.loss = kinds[options.loss](self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-5, fused=True)
        with open(options.batches, encoding="utf-8") as file:
            self.texts = json.load(file)["batches"]
        self.batches = [self.features(batch) for batch in self.texts]

    def features(self, batch):
        return [self.model.preprocess(list(column)) for column in zip(*sets.pairs(batch))]

    def encode(self, index):
        self.model.eval()
        batch = self.texts[index]
        start = time.monotonic()
        for column in ("queries", "passages"):
            self.model.encode(batch[column], batch_size=32, show_progress_bar=False)
        seconds = time.monotonic() - start
        start = time.monotonic()
        for column in ("queries", "passages"):
            for first in range(0, len(batch[column]), 32):
                self.model.preprocess(batch[column][first:first + 32])
        return {"seconds": seconds, "texts": len(batch["queries"]) + len(batch["passages"]),
                "tokenizer_seconds": time.monotonic() - start}

    def step(self, index):
        self.model.train()
        columns = [dict(column) for column in self.batches[index]]
        masks = [column["attention_mask"] for column in columns]
        start = time.monotonic()
        loss = self.loss(columns, None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        value = loss.item()
        return {"seconds": time.monotonic() - start, "pairs": len(masks[0]), "loss": value,
                "tokens": int(sum(mask.sum() for mask in masks)), "padded_tokens": sum(mask.numel() for mask in masks)}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("model")
    parser.add_argument("batches")
    parser.add_argument("--loss", choices=("mnrl", "cached"), default="mnrl")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    peer = Peer(parser.parse_args())
    print(json.dumps({"ready": True, "unpadded": peer.unpadded}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "quit":
            return
        answer = {"step": peer.step, "encode": peer.encode}[command](int(arguments[0]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
