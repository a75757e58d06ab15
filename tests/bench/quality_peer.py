"""One epoch of sentence-transformers on the pairs of a BEIR folder, with the recipe of quality.py.

usage: quality_peer.py MODEL BEIR_FOLDER OUT SEED
"""
import os
import pathlib
import random
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer import losses  # noqa: E402

import sets  # noqa: E402

BATCH = 32


def main():
    folder, data, out, seed = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    pairs = [(query, positives[0]) for query, positives in sets.judged(data)]
    random.Random(seed).shuffle(pairs)
    batches = [pairs[first:first + BATCH] for first in range(0, len(pairs), BATCH)]
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.max_seq_length = 256
    model.train()
    loss = losses.MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, round(0.1 * len(batches)), len(batches))
    for batch in batches:
        loss([model.preprocess(list(column)) for column in zip(*batch)], None).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.save(out)


if __name__ == "__main__":
    main()
