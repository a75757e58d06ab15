#!/usr/bin/env python3
"""Makes a retrieval set in BEIR form out of the Debian archive's own package descriptions and facet tags.

A query is a facet ("works with text") or a pair of facets ("works with text use editing"); its positives are the
packages that carry it, as "name: short description". 30% of the source packages and 30% of the pairs are held out:
training sees neither, and the test asks held-out pairs over held-out packages.

usage: apt-cache dumpavail | debtags.py OUTPUT      writes OUTPUT/train and OUTPUT/test
"""
import hashlib
import itertools
import json
import pathlib
import re
import sys

MINIMUM_PACKAGES = 10_000
# Facets that say how a package is built or shipped rather than what it is for.
LEFT_OUT = {"special", "role", "implemented-in", "suite", "made-of", "qa", "interface", "uitoolkit", "x11", "scope"}
MOST_TRAIN_POSITIVES = 200   # a query that a large share of the archive answers teaches nothing
TEST_POSITIVES = range(3, 51)


def packages(lines):
    """Yields (name, source, short description, set of tags) of each package that has tags."""
    fields, last = {}, None
    for line in itertools.chain(lines, ["\n"]):
        if line == "\n":
            if "Tag" in fields and "Package" in fields and "Description" in fields:
                tags = {tag for tag in re.split(r"[,\s]+", fields["Tag"]) if tag}
                yield fields["Package"], fields.get("Source", fields["Package"]).split(" ")[0], fields["Description"], tags
            fields, last = {}, None
        elif line[0] in " \t":
            if last == "Tag":
                fields[last] += line.rstrip("\n")
        else:
            last, _, value = line.rstrip("\n").partition(": ")
            fields.setdefault(last, value)


def held_out(key):
    return int(hashlib.sha1(("muster:" + key).encode()).hexdigest(), 16) % 10 < 3


def words(tag):
    facet, _, value = tag.partition("::")
    return f"{facet} {value}".replace("-", " ").replace(":", " ")


def is_topical(tag):
    facet, _, value = tag.partition("::")
    return facet not in LEFT_OUT and value not in ("TODO", "")


def write(folder, split, corpus, queries):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    with open(folder / "corpus.jsonl", "w", encoding="utf-8") as out:
        for name, text in sorted(corpus.items()):
            out.write(json.dumps({"_id": name, "title": "", "text": text}, ensure_ascii=False) + "\n")
    with open(folder / "queries.jsonl", "w", encoding="utf-8") as out:
        for query, (text, _) in sorted(queries.items()):
            out.write(json.dumps({"_id": query, "text": text}, ensure_ascii=False) + "\n")
    with open(folder / "qrels" / f"{split}.tsv", "w", encoding="utf-8") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        for query, (_, positives) in sorted(queries.items()):
            for name in sorted(positives):
                out.write(f"{query}\t{name}\t1\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    output = pathlib.Path(sys.argv[1])
    corpora, carriers = {"train": {}, "test": {}}, {"train": {}, "test": {}}
    for name, source, description, tags in packages(sys.stdin):
        part = "test" if held_out("source:" + source) else "train"
        tags = sorted(filter(is_topical, tags))
        if not tags or name in corpora[part]:
            continue
        corpora[part][name] = f"{name}: {description}"
        for key in itertools.chain(((tag,) for tag in tags), itertools.combinations(tags, 2)):
            carriers[part].setdefault(key, set()).add(name)
    found = len(corpora["train"]) + len(corpora["test"])
    if found < MINIMUM_PACKAGES:
        sys.exit(f"debtags: the archive's index has {found} packages with facet tags, at least {MINIMUM_PACKAGES} are "
                 "needed. Run 'apt-get update' with Debian's main archive among the sources, then try again.")
    train, test = {}, {}
    for part, queries in (("train", train), ("test", test)):
        for key, names in carriers[part].items():
            is_test = len(key) == 2 and held_out("pair:" + " ".join(key))
            text = " ".join(words(tag) for tag in key)
            if part == "train" and not is_test and 2 <= len(names) <= MOST_TRAIN_POSITIVES:
                queries["+".join(key)] = (text, names)
            if part == "test" and is_test and len(names) in TEST_POSITIVES:
                queries["+".join(key)] = (text, names)
    write(output / "train", "train", corpora["train"], train)
    write(output / "test", "test", corpora["test"], test)
    print(json.dumps({"packages": found, "held_out_packages": len(corpora["test"]), "train_queries": len(train),
                      "test_queries": len(test),
                      "test_positives_per_query": sum(len(p) for _, p in test.values()) / max(1, len(test))}))


if __name__ == "__main__":
    main()
