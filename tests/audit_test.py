"""The audit's checker finds missing steps, repetitions and steps of dead attempts; see e2e/audit.py."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "e2e"))
import audit  # noqa: E402

# Two ranks, five queries, two steps per epoch; the second step of an epoch is smaller.
WHOLE = {1: [["a", "b"], ["c"]], 2: [["d"], ["e"]], 3: [["e", "c"], ["a"]], 4: [["b"], ["d"]]}


def logs_of(steps, attempt=1):
    return {attempt: {rank: (2, {step: ((step - 1) // 2, list(ranks[rank])) for step, ranks in steps.items()})
                      for rank in range(2)}}


def check(logs, lineage):
    return audit.complaints(logs, lineage, queries=5, steps_per_epoch=2)


class Audit(unittest.TestCase):
    def test_takes_a_whole_log(self):
        self.assertEqual(check(logs_of(WHOLE), dict.fromkeys(WHOLE, 1)), [])
        partial = {step: WHOLE[step] for step in (1, 2, 3)}
        self.assertEqual(check(logs_of(partial), dict.fromkeys(partial, 1)), [], "an epoch that has not ended")

    def test_finds_a_step_that_a_rank_did_not_log(self):
        logs = logs_of(WHOLE)
        del logs[1][1][1][3]
        found = check(logs, dict.fromkeys(WHOLE, 1))
        self.assertEqual(found[0], "step 3: rank 1 of attempt 1 logged nothing")
        self.assertEqual(found[1], "epoch 1: 4 of 5 queries, without a")

    def test_finds_a_rank_that_logged_nothing_at_all(self):
        logs = logs_of(WHOLE)
        del logs[1][1]
        self.assertIn("step 1: rank 1 of attempt 1 logged nothing", check(logs, dict.fromkeys(WHOLE, 1)))

    def test_finds_a_query_that_is_missing(self):
        logs = logs_of({**WHOLE, 4: [["b"], []]})
        self.assertEqual(check(logs, dict.fromkeys(WHOLE, 1)), ["epoch 1: 4 of 5 queries, without d"])
        never = logs_of({1: [["a", "b"], ["c"]], 2: [["d"], []]})
        self.assertEqual(check(never, {1: 1, 2: 1}), ["4 queries in all epochs, the training split has 5"])

    def test_finds_a_query_that_comes_twice(self):
        logs = logs_of({**WHOLE, 4: [["b", "a"], ["d"]]})
        self.assertEqual(check(logs, dict.fromkeys(WHOLE, 1)), ["step 4: query a was in step 3 of the same epoch"])

    def test_finds_a_query_on_two_ranks(self):
        logs = logs_of({**WHOLE, 1: [["a", "b"], ["c", "a"]]})
        self.assertEqual(check(logs, dict.fromkeys(WHOLE, 1)), ["step 1: query a was in step 1 of the same epoch"])

    def test_finds_a_step_of_another_epoch(self):
        logs = logs_of(WHOLE)
        logs[1][0][1][3] = (0, ["e", "c"])
        self.assertEqual(check(logs, dict.fromkeys(WHOLE, 1)), ["step 3: rank 0 takes it for epoch 0, it is 1"])

    def test_leaves_a_dead_attempts_steps_beyond_the_checkpoint_out(self):
        # Attempt 1 died after step 3, attempt 2 continued from the checkpoint of step 2.
        logs = {**logs_of({step: WHOLE[step] for step in (1, 2, 3)}, 1), **logs_of({step: WHOLE[step] for step in (3, 4)}, 2)}
        lineage = audit.lineage_of_attempts([(1, 0), (2, 2)], 4)
        self.assertEqual(lineage, {1: 1, 2: 1, 3: 2, 4: 2})
        self.assertEqual(check(logs, lineage), [])

    def test_finds_a_resume_that_skipped_or_repeated_a_step(self):
        dead = logs_of({step: WHOLE[step] for step in (1, 2)}, 1)
        skipped = {**dead, **logs_of({4: WHOLE[4]}, 2)}
        self.assertIn("step 3: rank 0 of attempt 2 logged nothing", check(skipped, {1: 1, 2: 1, 3: 2, 4: 2}))
        # The position in the data advanced without the weights: the new attempt's step 3 has the queries of step 4.
        shifted = {**dead, **logs_of({3: WHOLE[4], 4: WHOLE[4]}, 2)}
        self.assertTrue(check(shifted, {1: 1, 2: 1, 3: 2, 4: 2}))

    def test_an_attempt_without_a_step_of_its_own_does_not_count(self):
        self.assertEqual(audit.lineage_of_attempts([(1, 0), (2, 2), (3, 2)], 4), {1: 1, 2: 1, 3: 3, 4: 3})

    def test_reads_files_and_leaves_a_last_line_that_is_not_whole_out(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "j-1-a2-r1.audit"
            path.write_text("muster-audit 1 j-1 2 1 4\n3 1 0a 0b\n4 1\n5 1 0")
            (pathlib.Path(folder) / "other-a1-r0.audit").write_text("")
            self.assertEqual(audit.read_logs(folder, "j-1"), {2: {1: (4, {3: (1, ["0a", "0b"]), 4: (1, [])})}})
            path.write_text("muster-audit 1 j-1 2 1 4\n3 1 0a\n3 1 0b\n")
            with self.assertRaisesRegex(AssertionError, "step 3 twice"):
                audit.read_logs(folder, "j-1")

    def test_reads_the_lineage_from_the_step_log(self):
        self.assertEqual(audit.lineage_of_step_log("step,attempt,loss\n1,1,0.5\n2,3,0.4\n"), {1: 1, 2: 3})


if __name__ == "__main__":
    unittest.main(verbosity=2)
