"""Trains a small model on generated rows, and exports it. usage: train.py FOLDER (a new folder; `muster local` must run)"""
import itertools, pathlib, random, sys, tempfile  # noqa: E401

import muster

TOPICS = ["apple pear plum grape melon cherry banana mango peach lemon", "iron copper zinc silver gold nickel lead tin cobalt chrome",
          "horse sheep goat camel zebra tiger lion wolf bear otter", "hammer saw chisel drill wrench plane file clamp axe spade"]
draw, rows = random.Random(7), {"train": [], "test": []}
for words in map(str.split, TOPICS):  # queries and passages of a topic share no word, so a model has to learn what belongs together
    passages = [" ".join(draw.choices(words[5:], k=6)) for _ in range(10)]
    for n, query in enumerate(draw.sample(list(itertools.permutations(words[:5], 3)), 16)):
        rows["test" if n % 4 == 0 else "train"].append({"query": " ".join(query), "pos": passages if n % 4 == 0 else draw.sample(passages, 3)})

client = muster.connect()
client.import_dataset("example", rows, replace="example" in [dataset.name for dataset in client.datasets()])
with tempfile.TemporaryDirectory() as folder:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *" ".join(TOPICS).split()]
    pathlib.Path(folder, "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    client.push_model("example-vocabulary", folder, replace="example-vocabulary" in [model.name for model in client.models()])
job = client.submit({"name": "example", "model": {"preset": "tiny", "tokenizer": "example-vocabulary"}, "data": {"train": "example"},
                     "loss": {"objective": "lsepair"}, "batch": {"queries": 16}, "optimizer": {"learning_rate": 1e-3},
                     "duration": {"steps": 40}, "report": {"dataset": "example", "split": "test"}})
job.show()
print(f"exported to {job.export(sys.argv[1])}")
