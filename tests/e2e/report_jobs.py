"""Two small jobs whose reports the tests examine. The second one's prompt is an attack on whoever reads the report."""
from cluster import topics_job

ATTACK = "</pre></style><script>document.title = 'attacked'</script><img src=x onerror=\"document.title = 'attacked'\">\nEND_OF_JOB\ntouch attacked\n"


def train(cluster):
    """Trains jobs named first and second; returns their ids."""
    evaluations = {"evaluate": {"dataset": "topics", "split": "train", "every_steps": 10}, "report": {"dataset": "topics", "split": "test"}}
    first = topics_job("first", duration={"steps": 30}, **evaluations)
    second = topics_job("second", duration={"steps": 20}, loss={"objective": "jointlh", "temperature": 0.1}, **evaluations)
    second["model"] = {**second["model"], "prompts": {"query": ATTACK}, "max_length": {"query": 128, "passage": 16}}
    ids = [cluster.submit(job) for job in (first, second)]
    for job in ids:
        cluster.wait_for_phase(job, "JOB_PHASE_SUCCEEDED")
    return ids
