"""Checks that every query had its effect exactly once per epoch, from the audit logs of a job's ranks.

usage: audit.py FOLDER JOB STEPS.csv --queries N --steps-per-epoch N

FOLDER is the value of MUSTER_AUDIT_DIR when the worker started; STEPS.csv is `muster get JOB --metrics csv`, which names the
attempt of every step on the final checkpoint's lineage. Log entries of other attempts for a step had no effect on it.
"""
import argparse
import csv
import pathlib
import sys


def read_logs(folder, job):
    """{attempt: {rank: (world size, {step: (epoch, [query digests])})}}; ignores an incomplete last line."""
    logs = {}
    for path in sorted(pathlib.Path(folder).glob(f"{job}-a*-r*.audit")):
        lines = path.read_text().split("\n")[:-1]
        if not lines:
            continue  # killed between opening and writing
        word, version, name, attempt, rank, world = lines[0].split()
        assert (word, version, name) == ("muster-audit", "1", job), f"{path}: {lines[0]}"
        steps = {}
        for line in lines[1:]:
            step, epoch, *digests = line.split()
            assert int(step) not in steps, f"{path}: step {step} twice"
            steps[int(step)] = (int(epoch), digests)
        logs.setdefault(int(attempt), {})[int(rank)] = (int(world), steps)
    return logs


def lineage_of_step_log(text):
    """{step: attempt} from the step log of the final checkpoint."""
    return {int(row["step"]): int(row["attempt"]) for row in csv.DictReader(text.splitlines())}


def lineage_of_attempts(attempts, steps):
    """{step: attempt} from [(attempt, from_step)] in ascending order: an attempt counts up to the next one's from_step."""
    return {step: max(number for number, first in attempts if first < step) for step in range(1, steps + 1)}


def complaints(logs, lineage, queries, steps_per_epoch):
    """The errors, as lines of text; empty if every epoch's steps take every query exactly once."""
    found, epochs = [], {}
    last = max(lineage, default=0)
    for step in range(1, last + 1):
        ranks = logs.get(lineage.get(step), {})
        world = max((world for world, _ in ranks.values()), default=1)
        for rank in range(world):
            _, steps = ranks.get(rank, (world, {}))
            if step not in steps:
                found.append(f"step {step}: rank {rank} of attempt {lineage.get(step)} logged nothing")
                continue
            epoch, digests = steps[step]
            if epoch != (step - 1) // steps_per_epoch:
                found.append(f"step {step}: rank {rank} takes it for epoch {epoch}, it is {(step - 1) // steps_per_epoch}")
            seen = epochs.setdefault((step - 1) // steps_per_epoch, {})
            for digest in digests:
                if digest in seen:
                    found.append(f"step {step}: query {digest} was in step {seen[digest]} of the same epoch")
                seen[digest] = step
    everything = set().union(*epochs.values())
    if last >= steps_per_epoch and len(everything) != queries:
        found.append(f"{len(everything)} queries in all epochs, the training split has {queries}")
    for epoch, seen in sorted(epochs.items()):
        if (epoch + 1) * steps_per_epoch <= last and len(seen) != len(everything):
            found.append(f"epoch {epoch}: {len(seen)} of {len(everything)} queries, without {min(everything - set(seen))}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("job")
    parser.add_argument("step_log")
    parser.add_argument("--queries", type=int, required=True, help="queries of the training split (resolved.train_queries)")
    parser.add_argument("--steps-per-epoch", type=int, required=True, help="resolved.steps_per_epoch")
    words = parser.parse_args()
    lineage = lineage_of_step_log(pathlib.Path(words.step_log).read_text())
    if not lineage:
        sys.exit(f"{words.step_log}: no steps")
    found = complaints(read_logs(words.folder, words.job), lineage, words.queries, words.steps_per_epoch)
    print("\n".join(found) or f"{len(lineage)} steps: every query exactly once per epoch")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
