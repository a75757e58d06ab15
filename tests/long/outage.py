"""A data server that is unreachable for ten minutes, with the default no-progress timer: no attempt may end.

usage: MUSTER_BIN=build/dev/bin tests/long/outage.py [SECONDS]
"""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from apart import Apart  # noqa: E402
from cluster import push_topics, wait_until  # noqa: E402
from liveness_test import long_job, seconds_of  # noqa: E402


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with Apart(slots=(2,)) as cluster:
        push_topics(cluster)
        job_id = cluster.submit(long_job("outage"))
        cluster.wait_for_step(job_id, 3)
        cluster.data.signal(signal.SIGKILL)
        cluster.data.process.wait()
        away = time.monotonic()
        wait_until("the job waits", lambda: seconds_of(cluster.job(job_id).get("reason")) >= seconds, seconds + 120, every=2)
        before = cluster.job(job_id)
        cluster.data.start()
        back = time.monotonic()
        print(f"away for {back - away:.0f} s; the job's reason was: {before['reason']}; {len(before['attempts'])} attempt")
        cluster.wait_for_step(job_id, int(before["progress"]["step"]) + 1, 120)
        print(f"the next step came {time.monotonic() - back:.1f} s after the server was back")
        job = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=600)
        print(f"{job['phase']} with {len(job['attempts'])} attempt")
        assert len(job["attempts"]) == 1, job["attempts"]


if __name__ == "__main__":
    main()
