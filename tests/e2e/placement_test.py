"""An elastic job that lost a worker gets back its full width at the first checkpoint after the worker returns."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import audit  # noqa: E402
from cluster import TopicsCase, topics_job, wait_until  # noqa: E402
from drain_test import Agent  # noqa: E402

EVERY = 20  # steps between checkpoints


class Placement(TopicsCase):
    slots = 1

    def agent(self, name):
        agent = Agent(self.cluster, name)
        self.addCleanup(agent.close)
        return agent

    def attempt_of_width(self, job_id, ranks, after=0):
        """Waits until the job trains on this many ranks, and returns that attempt."""
        def there():
            found = self.cluster.job(job_id)
            self.assertNotIn(found["phase"], ("JOB_PHASE_FAILED", "JOB_PHASE_SUCCEEDED"), found.get("reason"))
            info = found["attempts"][-1] if found.get("attempts") else {}
            trains = found["phase"] == "JOB_PHASE_TRAINING" and len(info.get("ranks", [])) == ranks
            return found if trains and int(info["number"]) > after else None
        return wait_until(f"{job_id} on {ranks} ranks", there, 120)

    def test_a_job_that_lost_a_worker_grows_back_at_a_checkpoint(self):
        cluster = self.cluster
        second = self.agent("second")
        elastic = cluster.submit(topics_job(
            "elastic", duration={"steps": 100_000}, checkpoint={"every_steps": EVERY, "keep": 2},
            resources={"device": "cpu", "slots": {"min": 1, "max": 2}, "threads": 1}))
        self.attempt_of_width(elastic, 2)
        cluster.wait_for_step(elastic, EVERY + 1)
        second.process.kill()
        second.close()
        narrow = int(self.attempt_of_width(elastic, 1)["attempts"][-1]["number"])
        cluster.wait_for_step(elastic, int(cluster.job(elastic)["progress"]["step"]) + 2 * EVERY)
        self.assertEqual(int(cluster.job(elastic)["attempts"][-1]["number"]), narrow, "no slot is free")

        self.agent("second")
        back = int(cluster.job(elastic)["progress"]["step"])
        wide = self.attempt_of_width(elastic, 2, after=narrow)
        attempts = {int(attempt["number"]): attempt for attempt in wide["attempts"]}
        self.assertEqual(attempts[narrow]["end_reason"], "grows from 1 to 2 slots")
        self.assertEqual(attempts[narrow]["end_code"], "REASON_CODE_GROWING")
        self.assertEqual(list(attempts), sorted(attempts))
        self.assertEqual(max(attempts), narrow + 1, "it grows with one restart")
        resumed = int(attempts[narrow + 1]["from_step"])
        print(f"back at step {back}, grown at step {resumed}")
        # The step was read before the agent's hello arrived, and ranks take some more steps until they stop.
        self.assertLessEqual(resumed, back + 3 * EVERY, "with the first checkpoint after the worker's return")
        cluster.wait_for_step(elastic, resumed + 5)
        logs = audit.read_logs(cluster.audit, elastic)
        self.assertEqual(max(logs[narrow][0][1]), resumed, "no step is repeated")
        cluster.ok("cancel", elastic)
        wait_until("the ranks have stopped", lambda: not cluster.rank_pids(), 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
